"""Draw tasks, and measure a method on each of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import comb
from typing import Any

from torch import Tensor

from photo_tables.photographs import Photographs
from tina_framework.evaluation.statistics import paired, summarize

__all__ = ["Logits", "Task", "accuracies", "draw_tasks", "summary"]

Task = tuple[int, ...]
"""Numbers of classes."""

Logits = Callable[[Task, Tensor], Tensor]
"""A method: (task, features (N, E)) -> logits (N, K)."""


def draw_tasks(classes: Sequence[int], size: int, number: int, seed: int) -> list[Task]:
    """Return different random sets of `size` classes; a single set of all classes where there are no more than `size`."""
    if len(classes) <= size:
        return [tuple(classes)]
    draws = random.Random(f"{seed}/photos/{size}")
    found: dict[Task, None] = {}
    while len(found) < min(number, comb(len(classes), size)):
        found.setdefault(tuple(sorted(draws.sample(list(classes), size))))
    return list(found)


def accuracies(method: Logits, tasks: Sequence[Task], photographs: Photographs) -> list[float]:
    """Return the accuracy of a method on each task, in percent, over all photographs of the task's classes."""
    found = []
    for task in tasks:
        rows, slots = photographs.rows(task)
        answers = method(task, photographs.features_NE[rows]).argmax(dim=1)
        found.append(100 * float((answers == slots).double().mean()))
    return found


def summary(values: Sequence[float], reference: Sequence[float] | None) -> dict[str, Any]:
    """Return mean and interval over tasks, the values, and the paired difference from a reference."""
    return {
        **summarize(values).to_json(),
        "difference": None if reference is None else paired(values, reference).to_json(),
        "tasks": [round(value, 3) for value in values],
    }
