"""Validation: accuracy of generated networks on tasks that training never draws, compared with classifier selection.

Classifier selection is the generic model with only the rows of the task's classes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.components import TrainingComponents
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.reservation import reserves
from tina_framework.zoo.tasks import Task

__all__ = ["ValidationResult", "Validator", "mean_over", "other_counts"]


def other_counts(counts: list[int]) -> list[int]:
    """Return the class counts to validate besides the largest: the smallest, and one in the middle."""
    rest = sorted(counts)[:-1]
    return rest if len(rest) <= 2 else [rest[0], rest[len(rest) // 2]]


@dataclass(frozen=True)
class ValidationResult:
    """Validation figures, as fractions of 1, over the tasks with the largest class count.

    Attributes:
        accuracy: mean accuracy of the generated networks.
        selection: mean accuracy of classifier selection.
        difference: mean paired difference of the two.
        standard_error: standard error of `difference`.
        num_tasks: number of tasks.
        by_count: class count -> the same figures for its tasks.
        by_architecture: in a run of several architectures: name -> the figures of each, as `to_json` gives them. The figures
            above are then means over the architectures that are trained.
    """

    accuracy: float
    selection: float
    difference: float
    standard_error: float
    num_tasks: int
    by_count: dict[int, dict[str, float]] = field(default_factory=dict)
    by_architecture: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        values: dict[str, Any] = {
            "accuracy": self.accuracy,
            "selection": self.selection,
            "difference": self.difference,
            "standard_error": self.standard_error,
            "num_tasks": self.num_tasks,
            "by_count": {str(count): figures for count, figures in self.by_count.items()},
        }
        return values | ({"by_architecture": self.by_architecture} if self.by_architecture else {})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ValidationResult:
        """Return the figures that `to_json` described. Other keys are ignored."""
        figures = {entry.name: values[entry.name] for entry in fields(cls) if entry.name != "by_architecture"}
        figures["by_count"] = {int(count): row for count, row in values["by_count"].items()}
        return cls(**figures, by_architecture=dict(values.get("by_architecture", {})))


def mean_over(
    results: Mapping[str, ValidationResult], trained: Sequence[str], shares: Mapping[str, Mapping[str, float]]
) -> ValidationResult:
    """Return the means of the figures over the architectures `trained`, with the figures of each; for one, its own result.

    Args:
        results: architecture -> its result. All have the same tasks.
        trained: the architectures that count.
        shares: of those that are written as a relative; see `tina_framework.training.relatives`.
    """
    if len(results) == 1:
        return next(iter(results.values()))
    counted = [results[name] for name in trained]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    by_count = {
        count: {name: mean([result.by_count[count][name] for result in counted]) for name in row}
        for count, row in counted[0].by_count.items()
    }
    return ValidationResult(
        mean([result.accuracy for result in counted]),
        mean([result.selection for result in counted]),
        mean([result.difference for result in counted]),
        mean([result.standard_error for result in counted]),
        counted[0].num_tasks,
        by_count,
        {
            name: result.to_json() | ({"shares": dict(shares[name])} if name in shares else {})
            for name, result in results.items()
        },
    )


class Validator:
    """Measures generators on validation tasks. Classifier selection is measured once, when the validator is made.

    Args:
        components: the components of the run.
        process: number of this process, which measures every `processes`-th task.
        processes: number of processes.

    Raises:
        DataError: no validation task can be drawn.
    """

    def __init__(self, components: TrainingComponents, process: int = 0, processes: int = 1) -> None:
        self.components = components
        config = components.config
        counts = sorted(config.class_counts)
        wanted = [(counts[-1], config.num_validation_tasks)]
        wanted += [(count, max(2, config.num_validation_tasks // 4)) for count in other_counts(counts)]
        tasks: list[Task] = []
        for count, number in wanted:
            tasks += _tasks(components, count, number)
        if not tasks:
            raise DataError("No validation task can be drawn from these classes. Set num_validation_tasks to 0.")
        self.greatest = counts[-1]
        self.mine = tasks[process::processes]
        # Always in full precision, so that validation figures of runs with different precision can be compared.
        self.images = ImageBank(components.dataset, "validation", components.spec, components.context.device)
        self.runner = TargetRunner(components.spec, "fp32", 1)
        self.selection = [self._score(task, self._selected(task)) for task in self.mine]

    def measure(self, generator: Generator) -> list[tuple[int, float, float]]:
        """Return (class count, accuracy, accuracy of selection) for each task of this process."""
        conditions = [
            EncodedTask(
                task.classes, tuple(map(fold, task.classes)), self.components.context.conditions.raw(task.classes)
            )
            for task in self.mine
        ]
        flats = generator.generate_parameters(conditions) if conditions else []
        return [
            (len(task.classes), self._score(task, flat), selection)
            for task, flat, selection in zip(self.mine, flats, self.selection, strict=True)
        ]

    def summarize(self, results: list[tuple[int, float, float]]) -> ValidationResult:
        """Return the figures over the results of all processes.

        Args:
            results: what `measure` returned in each process, joined.
        """
        grouped: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for count, ours, theirs in results:
            grouped[count].append((ours, theirs))
        by_count = {count: _figures(pairs) for count, pairs in sorted(grouped.items())}
        main = by_count[self.greatest if self.greatest in by_count else max(by_count)]
        return ValidationResult(
            main["accuracy"],
            main["selection"],
            main["difference"],
            main["standard_error"],
            int(main["num_tasks"]),
            by_count,
        )

    def _selected(self, task: Task) -> Tensor:
        components = self.components
        rows = torch.tensor([components.seen_classes.index(name) for name in task.classes])
        return components.spec.flatten(components.spec.select_classes(components.generic, rows), len(task.classes))

    @torch.no_grad()
    def _score(self, task: Task, flat_N: Tensor) -> float:
        rows, slots = self.images.rows(task.classes)
        images = self.images.images[rows]
        flat = flat_N.to(images.device)
        parts = [self.runner.logits(flat, len(task.classes), part).argmax(1) for part in images.split(2000)]
        return float((torch.cat(parts) == slots).double().mean())


def _tasks(components: TrainingComponents, count: int, number: int) -> list[Task]:
    """Draw validation tasks of a class count. Where no set of it is reserved, draw training tasks: their pictures are new."""
    reserved = reserves(len(components.seen_classes), count)
    try:
        sampler = components.sampler("validation" if reserved else "train", {"random": 1.0}, {count: 1.0})
    except DataError:
        return []  # a few dozen sets need not hold one with the hash of a validation task
    return sampler.tasks(number, allow_fewer=True)


def _figures(pairs: list[tuple[float, float]]) -> dict[str, float]:
    ours, theirs = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    gain = ours - theirs
    error = float(gain.std()) / math.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return {
        "accuracy": float(ours.mean()),
        "selection": float(theirs.mean()),
        "difference": float(gain.mean()),
        "standard_error": error,
        "num_tasks": float(len(gain)),
    }
