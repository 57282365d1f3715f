"""What the parts of the suite share: the loaded generator, encoder and images, and how accuracies are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.evaluation.scoring import Scorer
from tina_framework.evaluation.suite.prompt_variants import PromptMaterial, PromptVariant, read_descriptions
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.dataset import ArrayDataset, Dataset, LabelledImages
from tina_framework.interfaces.method import Network
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.zoo.image_bank import ImageBank, for_architecture

__all__ = ["PromptMeasurer", "SuiteRequest"]


@dataclass(frozen=True)
class SuiteRequest:
    """What the suite measures.

    Args:
        model: registered name, folder or Hub id of a generator.
        dataset: spec of a data set, or the data set itself.
        encoder: spec of an encoder; None: the generator's default.
        descriptions: a JSON file, class name -> description; None: there are no descriptions.
        num_tasks: number of tasks of each kind.
        num_classes: number of classes of a task, except where this number is varied.
        image_split: ``test`` or ``validation``. With ``test``, prompts show validation images and test images are
            measured on. With ``validation``, prompts show one half of the validation images and the other half is
            measured on.
        device: ``auto``, ``cpu``, ``cuda``, ...
        seed: seed of generation, typing mistakes and shown pictures.
        task_seed: seed of the tasks.
        command: the command line, for the record.
        architecture: which of the generator's architectures; None: its default one.
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
    architecture: str | None = None


def _halves(data: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """Return the first and the second half of each class's images."""
    first = np.zeros(len(data.labels), dtype=bool)
    for label in np.unique(data.labels):
        rows = np.flatnonzero(data.labels == label)
        first[rows[: len(rows) // 2]] = True
    return LabelledImages(data.images[first], data.labels[first]), LabelledImages(
        data.images[~first], data.labels[~first]
    )


class PromptMeasurer:
    """Generates networks for prompts and measures their accuracy.

    Attributes:
        known: classes that the generator was trained on, in the data set's order.
        unseen: the data set's other classes.
        material: what prompts can be made of.

    Raises:
        TinaError: something cannot be loaded.
    """

    def __init__(self, request: SuiteRequest) -> None:
        self.request = request
        dataset: Any = request.dataset
        self.dataset: Dataset = registries().datasets.create(dataset) if isinstance(dataset, str) else dataset
        self.generator = Generator.from_pretrained(
            request.model, device=request.device, encoder=request.encoder, architecture=request.architecture
        )
        if request.num_classes > self.generator.config.denoiser.max_classes:
            raise ConfigError(
                f"The suite was asked for tasks of {request.num_classes} classes, but the generator does "
                f"{self.generator.config.denoiser.max_classes}; lower --classes."
            )
        self.encoder = self.generator.encoder
        names = tuple(self.dataset.class_names)
        trained = set(self.generator.config.class_names)
        self.known = tuple(name for name in names if name in trained)
        self.unseen = tuple(name for name in names if name not in trained)
        measured = self.load_images("validation" if request.image_split == "validation" else "test")
        shown = self.load_images("validation")
        if request.image_split == "validation":
            shown, measured = _halves(shown)
        described = {} if request.descriptions is None else read_descriptions(request.descriptions, names)
        self.material = PromptMaterial(names, shown, described, request.seed)
        # An `ImageBank` loads a split by its name, so the images to measure on become a data set of their own.
        view: Any = ArrayDataset(self.dataset.name, names, {"test": measured}, self.dataset.superclasses)
        self.scorer = Scorer(self.generator.spec, ImageBank(view, "test", self.generator.spec, self.generator.device))

    def load_images(self, split: str) -> LabelledImages:
        """Return the images of a split, at the size that the generator's networks need."""
        return for_architecture(self.dataset, self.generator.spec.architecture).load(split)

    def conditions(self, tasks: Sequence[Sequence[str]], variant: PromptVariant, first: int = 0) -> list[EncodedTask]:
        """Encode the tasks with one variant of prompts.

        `first` is the number of the first task; random draws depend on it.
        """
        prompts = [
            [variant.prompt(self.material, name, first + i, place) for place, name in enumerate(task)]
            for i, task in enumerate(tasks)
        ]
        if variant.as_encoded:
            return encode_tasks(prompts, self.encoder)
        return encode_tasks(prompts, self.encoder, known_classes=self.generator.known_classes())

    def networks(self, conditions: Sequence[EncodedTask]) -> list[Tensor]:
        """Generate the parameters (N,) of one network for each condition."""
        return self.generator.generate_parameters(conditions, SamplingOptions(seed=self.request.seed))

    def accuracies(self, flats: Sequence[Tensor], tasks: Sequence[Sequence[str]]) -> list[float]:
        """Return the accuracy of each network on its task: fractions of 1."""
        return [self.scorer.accuracy(Network(flat, tuple(task)), task) for flat, task in zip(flats, tasks, strict=True)]

    def measure(
        self,
        tasks: Sequence[Sequence[str]],
        variant: PromptVariant,
        advance: Callable[[int], None] = lambda done: None,
        part: int = 20,
    ) -> tuple[list[float], list[EncodedTask]]:
        """Return the accuracy of each task with one variant of prompts, and the encoded conditions."""
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
        """Return the accuracy of *selection* (the generic model with only the task's outputs) on each task.

        None if the generator has no generic model, or the model lacks a class.
        """
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
