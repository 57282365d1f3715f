"""What the parts of the suite share: generator, encoder, images to show and images to measure on, and measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.evaluation.scoring import Network, Scorer
from tina_framework.evaluation.suite.prompt_variants import PromptMaterial, PromptVariant, read_descriptions
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.dataset import ArrayDataset, Dataset, LabelledImages
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.zoo.image_bank import ImageBank

__all__ = ["PromptMeasurer", "SuiteRequest"]


@dataclass(frozen=True)
class SuiteRequest:
    """What is to be measured.

    Args:
        model: bundled name, folder or Hub id of a generator.
        dataset: spec of a data set, or the data set itself.
        encoder: spec; None: the generator's default.
        descriptions: a JSON file, class name -> description; None: descriptions are left out.
        num_tasks: tasks of each kind.
        num_classes: classes a task, where the number is not what is varied.
        image_split: ``test`` (pictures to show are validation images) or ``validation`` (one half shows, the other is measured on).
        device: ``auto``, ``cpu``, ``cuda``, ...
        seed: of generation, typos and shown pictures.
        task_seed: of the tasks.
        command: how it was asked for, for the record.
    """

    model: str
    dataset: str | Dataset
    encoder: str | None = None
    descriptions: Path | None = None
    num_tasks: int = 100
    num_classes: int = 10
    image_split: str = "test"
    device: str = "auto"
    seed: int = 0
    task_seed: int = 2026
    command: str = ""


def _halves(data: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """The first and the second half of each class's images."""
    first = np.zeros(len(data.labels), dtype=bool)
    for label in np.unique(data.labels):
        rows = np.flatnonzero(data.labels == label)
        first[rows[: len(rows) // 2]] = True
    return LabelledImages(data.images[first], data.labels[first]), LabelledImages(
        data.images[~first], data.labels[~first]
    )


class PromptMeasurer:
    """Loaded parts of a request.

    Attributes:
        known: classes that the generator was trained on, in the data set's order.
        strange: the data set's other classes.

    Raises:
        TinaError: something cannot be loaded.
    """

    def __init__(self, request: SuiteRequest) -> None:
        self.request = request
        dataset: Any = request.dataset
        self.dataset: Dataset = registries().datasets.create(dataset) if isinstance(dataset, str) else dataset
        self.generator = Generator.from_pretrained(request.model, device=request.device, encoder=request.encoder)
        if request.num_classes > self.generator.config.denoiser.max_classes:
            raise ConfigError(
                f"The suite was asked for tasks of {request.num_classes} classes, but the generator does "
                f"{self.generator.config.denoiser.max_classes}; lower --classes."
            )
        self.encoder = self.generator.encoder
        names = tuple(self.dataset.class_names)
        trained = set(self.generator.config.class_names)
        self.known = tuple(name for name in names if name in trained)
        self.strange = tuple(name for name in names if name not in trained)
        measured = self.dataset.load("validation") if request.image_split == "validation" else self.dataset.load("test")
        shown = self.dataset.load("validation")
        if request.image_split == "validation":
            shown, measured = _halves(shown)
        described = {} if request.descriptions is None else read_descriptions(request.descriptions, names)
        self.speaker = PromptMaterial(names, shown, described, request.seed)
        view: Any = ArrayDataset(self.dataset.name, names, {"test": measured}, self.dataset.superclasses)
        self.scorer = Scorer(self.generator.spec, ImageBank(view, "test", self.generator.spec, self.generator.device))

    def conditions(self, tasks: Sequence[Sequence[str]], variant: PromptVariant, first: int = 0) -> list[EncodedTask]:
        """The tasks said in one way. `first`: number of the first task, for what is drawn."""
        said = [
            [variant.say(self.speaker, name, first + i, place) for place, name in enumerate(task)]
            for i, task in enumerate(tasks)
        ]
        if variant.as_encoded:
            return encode_tasks(said, self.encoder)
        return encode_tasks(said, self.encoder, known_classes=self.generator.known_classes())

    def networks(self, conditions: Sequence[EncodedTask]) -> list[Tensor]:
        return self.generator.generate_parameters(conditions, SamplingOptions(seed=self.request.seed))

    def accuracies(self, flats: Sequence[Tensor], tasks: Sequence[Sequence[str]]) -> list[float]:
        """Fractions of 1."""
        return [self.scorer.accuracy(Network(flat, tuple(task)), task) for flat, task in zip(flats, tasks, strict=True)]

    def measure(
        self,
        tasks: Sequence[Sequence[str]],
        variant: PromptVariant,
        advance: Callable[[int], None] = lambda done: None,
        part: int = 20,
    ) -> tuple[list[float], list[EncodedTask]]:
        """Accuracies of the tasks said in one way, and what was read."""
        found: list[float] = []
        read: list[EncodedTask] = []
        for start in range(0, len(tasks), part):
            some = tasks[start : start + part]
            conditions = self.conditions(some, variant, start)
            found += self.accuracies(self.networks(conditions), some)
            read += conditions
            advance(len(some))
        return found, read

    def selection(self, tasks: Sequence[Sequence[str]]) -> list[float] | None:
        """Accuracies of the generic model with the tasks' rows; None where it is not with the generator, or lacks a class."""
        generic, names = self.generator.generic, self.generator.config.class_names
        if generic is None or not all(name in names for task in tasks for name in task):
            return None
        spec = self.generator.spec
        flats = []
        for task in tasks:
            rows = torch.tensor([names.index(name) for name in task])
            state = spec.select_classes({key: value.float() for key, value in generic.items()}, rows)
            flats.append(spec.flatten(state, len(task)))
        return self.accuracies(flats, tasks)
