"""Provide the tasks, pictures, starts and settings that shots.py combines."""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tina_framework import Generator
from tina_framework.classifier.fine_tuning.loop import fit
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import ArrayDataset, Dataset, LabelledImages
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.storage.files import read_json
from tina_framework.targets.accuracy import accuracy
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import network
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.tasks import Task, load_tasks

__all__ = ["LOOKS", "SHOTS", "STARTS", "Setup", "grid"]

STARTS = ("tina", "selection", "new-head", "scratch")
SHOTS = (1, 5, 20, 50, 100)
_STEPS = {1: 50, 5: 60, 20: 100, 50: 150, 100: 200}


def _grey(images: np.ndarray) -> np.ndarray:
    grey = images @ np.array([0.299, 0.587, 0.114])
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=-1)


def _dark(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 0.4).astype(np.uint8)


LOOKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"plain": lambda images: images, "grey": _grey, "dark": _dark}
"""How pictures are changed, so that they are unlike the training images."""


def grid(start: str, shots: int) -> dict[str, FineTuneSettings]:
    """Return label -> settings to choose from.

    `lr` is in units of each tensor's own size, so fresh tensors, which are small, need a larger one.
    They also need no pull, because their first values mean nothing.
    """
    steps = _STEPS[min(_STEPS, key=lambda known: abs(known - shots))]
    if start in ("tina", "selection"):  # (lr, shared, pull)
        options = [(0.02, 1.0, 100.0), (0.02, 1.0, 400.0), (0.02, 1.0, 2000.0), (0.02, 0.0, 400.0)]
        chosen = [FineTuneSettings(steps, lr, shared, pull) for lr, shared, pull in options]
    elif start == "new-head":
        options = [(0.1, 0.0, 0.0), (0.3, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.003, 0.0)]
        chosen = [FineTuneSettings(steps, lr, shared, pull) for lr, shared, pull in options]
    else:
        chosen = [FineTuneSettings(many * steps, lr) for many, lr in ((2, 0.2), (4, 0.1))]
    return {f"{s.steps} steps, lr {s.lr:g}, shared {s.shared:g}, pull {s.pull:g}": s for s in chosen}


def _looking(dataset: Dataset, look: str, splits: tuple[str, ...]) -> Dataset:
    """Return the data set with changed pictures in these splits."""
    parts = {split: dataset.load(split) for split in splits}
    changed = {split: LabelledImages(LOOKS[look](part.images), part.labels) for split, part in parts.items()}
    view: Any = ArrayDataset(dataset.name, dataset.class_names, changed, dataset.superclasses)
    changed_dataset: Dataset = view  # a frozen class has no settable attributes, which the protocol asks for
    return changed_dataset


def default_settings(shots: Sequence[int]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return start -> number of pictures (as text) -> the default settings of `fine_tune`."""
    return {key: {str(n): asdict(FineTuneSettings.for_pictures(n)) for n in shots} for key in STARTS}


@dataclass
class Setup:
    """The images, the generator and the tasks that all cells share."""

    arguments: argparse.Namespace

    def __post_init__(self) -> None:
        given = self.arguments
        splits = ("train", "validation", "test") if given.test else ("train", "validation")
        self.dataset = _looking(registries().datasets.create(given.dataset), given.look, splits)
        self.generator = Generator.from_pretrained(given.model, device="cpu", encoder=given.encoder)
        self.spec = self.generator.spec
        if self.generator.generic is None:
            raise ConfigError(
                f"The generator '{given.model}' has no generic model to compare with; name another one with --model."
            )
        self.generic = self.generator.generic
        self.class_tensors = {name for name, axis in self.spec.class_axes.items() if axis is not None}
        self.learn, self.seen = (
            ImageBank(self.dataset, "validation", self.spec),
            ImageBank(self.dataset, "train", self.spec),
        )
        self.measure = ImageBank(self.dataset, "test", self.spec) if given.test else self.learn
        self.tasks = self._tasks()

    def _tasks(self) -> list[Task]:
        given = self.arguments
        if not given.test:
            return sample_split_tasks(self.dataset, "validation", 10, given.tasks, seed=given.seed)
        tasks = load_tasks(given.task_file, class_names=self.dataset.class_names)
        wrong = [task for task in tasks if partition_of(task.classes) != "test"]
        if wrong:
            raise ConfigError(
                f"'{given.task_file}' holds tasks that are not reserved for testing; give a file of reserved tasks."
            )
        return tasks[: given.tasks]

    def start(self, name: str, task: Task) -> Tensor:
        """Return the parameters (N,) of a start."""
        count = len(task.classes)
        if name == "tina":
            return self.generator.generate_parameters(encode_tasks([list(task.classes)], self.generator.encoder))[0]
        rows = torch.tensor([self.generator.config.class_names.index(c) for c in task.classes])
        state = self.spec.select_classes(self.generic, rows)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed("fresh", task))
            fresh = self.spec.architecture.build(count).state_dict()
        if name == "new-head":
            state |= {tensor: fresh[tensor] for tensor in self.class_tensors}
        return self.spec.flatten(fresh if name == "scratch" else state, count)

    def _seed(self, *words: object) -> int:
        return zlib.crc32(repr((self.arguments.seed, *words)).encode())

    def pictures(self, task: Task, shots: int) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        """Return images and labels to fine-tune on, images and labels to measure on, and how many a class are unseen.

        A smaller number of pictures is always a part of a larger one.
        """
        (rows, slots), (extra, extra_slots) = self.learn.rows(task.classes), self.seen.rows(task.classes)
        shown, labels, held = [], [], []
        for k, name in enumerate(task.classes):
            own = rows[slots == k]
            own = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(self._seed("own", name)))]
            half = len(own) if self.arguments.test else len(own) // 2
            known = extra[extra_slots == k]
            order = torch.randperm(len(known), generator=torch.Generator().manual_seed(self._seed("known", name)))
            shown.append(self.learn.images[own[: min(shots, half)]])
            shown.append(self.seen.images[known[order[: max(0, shots - half)]]])
            labels += [k] * shots
            held.append(own[half:])
        unseen = min(shots, half)
        if self.arguments.test:
            measured, truth = self.measure.rows(task.classes)
        else:
            measured, truth = torch.cat(held), torch.cat([torch.full((len(part),), k) for k, part in enumerate(held)])
        return torch.cat(shown), torch.tensor(labels), self.measure.images[measured], truth, unseen

    @cached_property
    def chosen(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Start -> number of pictures (as text) -> the settings to report on."""
        if self.defaults:
            return default_settings(self.arguments.shots)
        chosen: dict[str, dict[str, dict[str, Any]]] = read_json(self.arguments.settings)["chosen"]
        return chosen

    @property
    def defaults(self) -> bool:
        """Whether the settings are the defaults of `fine_tune`."""
        return str(self.arguments.settings) == "defaults"

    @cached_property
    def settings(self) -> dict[str, dict[int, dict[str, FineTuneSettings]]]:
        """Start -> number of pictures -> label -> settings: the grid when choosing, one entry when reporting."""
        shots = self.arguments.shots
        if not self.arguments.test:
            return {start: {n: grid(start, n) for n in shots} for start in self.arguments.starts}
        chosen = self.chosen
        missing = [
            f"{start}, {n}" for start in self.arguments.starts for n in shots if str(n) not in chosen.get(start, {})
        ]
        if missing:
            raise ConfigError(
                f"'{self.arguments.settings}' has no settings for {missing[0]} pictures a class; run without --test."
            )
        return {
            start: {n: {"chosen": FineTuneSettings(**chosen[start][str(n)])} for n in shots}
            for start in self.arguments.starts
        }

    def cells(self) -> Iterator[tuple[int, str, int, str]]:
        """Yield all cells task by task, so that a stopped run has complete tasks. 0 pictures: the start itself."""
        for i in range(len(self.tasks)):
            for start in self.arguments.starts:
                yield i, start, 0, ""
                for shots in self.arguments.shots:
                    for label in self.settings[start][shots]:
                        yield i, start, shots, label

    def run(self, cell: tuple[int, str, int, str]) -> dict[str, Any]:
        number, start, shots, label = cell
        task = self.tasks[number]
        images, slots, measured, truth, unseen = self.pictures(task, shots)
        began = time.perf_counter()
        module = network(self.spec, self.start(start, task), len(task.classes))
        if shots:
            how = self.settings[start][shots][label]
            has_trunk = self.spec.architecture.trunk is not None
            fit(module, images, slots, self.class_tensors, how, seed=self.arguments.seed, pictures=not has_trunk)
        seconds = time.perf_counter() - began
        found = {"accuracy": accuracy(module, measured, truth), "seconds": seconds, "unseen": unseen}
        return {"cell": list(cell), **found}
