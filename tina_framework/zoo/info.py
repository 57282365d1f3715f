"""What `tina zoo info` shows: the contents of a zoo, the accuracy of its p-Models, and how far their classes explain
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.generic_stage import generic_figures
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import start_of, task_accuracy
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.subset import without_classes

__all__ = ["describe", "linear_map", "measure_signal", "measure_test"]

RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def describe(zoo: Zoo) -> dict[str, Any]:
    """Return what the index says. Accuracies are means over the p-Models, on validation images."""
    entries = zoo.entries
    value: dict[str, Any] = {
        "architecture": zoo.architecture,
        "dataset": zoo.config.dataset,
        "classes": len(zoo.class_names),
        "models": len(entries),
        "shards": zoo.config.num_shards,
        "models by class count": dict(sorted(Counter(str(len(e.classes)) for e in entries).items())),
        "seed": zoo.config.seed,
        **zoo.figures,
    }
    if entries:
        models, selection = fmean(e.validation_accuracy for e in entries), fmean(e.selection_accuracy for e in entries)
        value["validation"] = {"p-models": models, "selection": selection, "gain": models - selection}
    return value


def measure_test(zoo: Zoo, spec: ParameterSpec, dataset: Dataset) -> dict[str, Any]:
    """Measure p-Models and selection on the test images of the same tasks, and the generic model on all test images."""
    bank = ImageBank(_same_classes(zoo, dataset), "test", spec)
    models, selection = [], []
    for entry in zoo.entries:
        start = spec.flatten(start_of(spec, zoo.generic, bank.labels_of(entry.classes)), len(entry.classes))
        models.append(task_accuracy(spec, zoo.flat(entry.id), entry.classes, bank))
        selection.append(task_accuracy(spec, start, entry.classes, bank))
    value: dict[str, Any] = {"generic": generic_figures(spec, zoo.generic, bank)}
    if models:
        gains = torch.tensor(models) - torch.tensor(selection)
        value |= {
            "p-models": fmean(models),
            "selection": fmean(selection),
            "gain": float(gains.mean()),
            "gain standard error": float(gains.std() / len(gains) ** 0.5) if len(gains) > 1 else 0.0,
        }
    return value


def measure_signal(zoo: Zoo, spec: ParameterSpec, dataset: Dataset, num_tasks: int = 40) -> dict[str, Any]:
    """Measure how well the best linear map from class set to weights does on reserved validation tasks.

    If the map stays below selection, training noise explains most of the differences between p-Models, and their
    classes little. A generator can then learn little from stored weights. The ridge strength is the best of `RIDGES`
    on these tasks.

    Returns:
        Mean validation accuracies of selection and of the map, for the most frequent class count of the zoo.
    """
    if not zoo.entries:
        return {"reason": "the zoo has no p-Models"}
    count = Counter(len(entry.classes) for entry in zoo.entries).most_common(1)[0][0]
    dataset = _same_classes(zoo, dataset)
    tasks = sample_split_tasks(dataset, "validation", count, num_tasks, zoo.config.seed, allow_fewer=True)
    bank = ImageBank(dataset, "validation", spec)
    starts = [spec.flatten(start_of(spec, zoo.generic, bank.labels_of(task.classes)), count) for task in tasks]
    selection = fmean(task_accuracy(spec, start, task.classes, bank) for start, task in zip(starts, tasks, strict=True))
    # The strength is chosen on the tasks that are reported, so the result is an upper bound for a linear map.
    by_ridge = {}
    for ridge in RIDGES:
        flats = linear_map(zoo, spec, [task.classes for task in tasks], count, ridge)
        by_ridge[ridge] = fmean(
            task_accuracy(spec, flat, task.classes, bank) for flat, task in zip(flats, tasks, strict=True)
        )
    best = max(by_ridge, key=lambda ridge: by_ridge[ridge])
    return {
        "class count": count,
        "tasks": len(tasks),
        "selection": selection,
        "linear map": by_ridge[best],
        "ridge": best,
    }


def _same_classes(zoo: Zoo, dataset: Dataset) -> Dataset:
    """Return the data set without the zoo's held-out classes.

    Raises:
        DataError: the classes, or their order, are not the zoo's. Rows of the generic model would belong to wrong
            classes.
    """
    rest = without_classes(dataset, zoo.config.held_out_classes)
    if tuple(rest.class_names) != zoo.class_names:
        raise DataError(
            f"The data set '{dataset.name}' has other classes than the zoo '{zoo.folder}', or another order of them; "
            "use the data set that the zoo was built from."
        )
    return rest


def linear_map(zoo: Zoo, spec: ParameterSpec, tasks: Sequence[Sequence[str]], count: int, ridge: float) -> list[Tensor]:
    """Predict parameters (N,) from a task's classes, by ridge regression over the zoo's p-Models of that class count.

    A shared element is a linear function of the class set, which has one indicator for each class. An element of a
    class row is the mean of that class over the zoo, plus a linear function of the set that all classes share. Both
    are fitted as differences from selection.
    """
    number = {name: i for i, name in enumerate(zoo.class_names)}
    entries = [entry for entry in zoo.entries if len(entry.classes) == count]
    labels = [[number[name] for name in entry.classes] for entry in entries]
    features = torch.stack([_indicator(row, len(number)) for row in labels])
    deltas = torch.stack(
        [
            zoo.flat(entry.id) - spec.flatten(start_of(spec, zoo.generic, row), count)
            for entry, row in zip(entries, labels, strict=True)
        ]
    )
    slot = spec.flat_class(count)
    rows = [torch.nonzero(slot == k).squeeze(1) for k in range(count)]
    class_mean = _class_means(deltas, labels, rows, len(number))
    for i, row in enumerate(labels):
        for k, label in enumerate(row):
            deltas[i, rows[k]] -= class_mean[label]
    shared = torch.nonzero(slot < 0).squeeze(1)
    row_rest = torch.stack([deltas[:, r] for r in rows]).mean(dim=0)
    targets = torch.cat([deltas[:, shared], row_rest], dim=1)
    mean = targets.mean(dim=0)
    gram = features.T @ features + ridge * torch.eye(features.shape[1])
    weight = torch.linalg.solve(gram, features.T @ (targets - mean))
    flats = []
    for classes in tasks:
        row = [number[name] for name in classes]
        predicted = mean + _indicator(row, len(number)) @ weight
        flat = spec.flatten(start_of(spec, zoo.generic, row), count).clone()
        flat[shared] += predicted[: len(shared)]
        for k, label in enumerate(row):
            flat[rows[k]] += class_mean[label] + predicted[len(shared) :]
        flats.append(flat)
    return flats


def _indicator(labels: Sequence[int], total: int) -> Tensor:
    vector = torch.zeros(total)
    vector[list(labels)] = 1.0
    return vector


def _class_means(deltas: Tensor, labels: list[list[int]], rows: list[Tensor], total: int) -> Tensor:
    """Return the mean row difference (classes, row width) of each class over the models that have it, or 0."""
    sums, counts = torch.zeros(total, len(rows[0])), torch.zeros(total, 1)
    for delta, row in zip(deltas, labels, strict=True):
        for k, label in enumerate(row):
            sums[label] += delta[rows[k]]
            counts[label] += 1
    return sums / counts.clamp(min=1)
