"""Checking familiarity: does it tell known classes from unseen ones, and does it go with accuracy?"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tina_framework.evaluation.statistics import summarize
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer
from tina_framework.evaluation.suite.prompt_variants import SHOTS, PromptVariant
from tina_framework.zoo.reservation import partition_of

__all__ = ["auroc", "measure_familiarity", "spearman"]

_REPEATS = 20
_DRAWS = 1000
"""How many class sets are drawn for one task before the search for one in the partition is given up."""
_BINS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0 + 1e-9))
KINDS = ("names", "descriptions", *("1 picture" if n == 1 else f"{n} pictures" for n in SHOTS))


def auroc(high: Sequence[float], low: Sequence[float]) -> float:
    """Return the probability that a value of `high` is above a value of `low`. A tie counts half.

    Raises:
        ValueError: one of the two is empty.
    """
    if not len(high) or not len(low):
        raise ValueError("AUROC needs values on both sides.")
    ranks = _ranks([*high, *low])[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) - 1) / 2) / (len(high) * len(low)))


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return the rank correlation; None if one side is constant or empty."""
    a, b = _ranks(x), _ranks(y)
    if not len(a) or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Sequence[float]) -> Any:
    """Return ranks from 0. Equal values get their mean rank."""
    array = np.asarray(values, dtype=np.float64)
    ordered, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    del ordered
    ends = np.cumsum(counts)
    return ((ends - counts) + (ends - 1))[inverse] / 2.0


def measure_familiarity(
    measurer: PromptMeasurer, variants: Sequence[PromptVariant], on_stage: Callable[[str], object]
) -> list[dict[str, Any]]:
    """Measure familiarity, and return one entry for each kind of prompt.

    - ``auroc``: how well familiarity tells known classes from unseen ones.
    - ``spearman``: rank correlation of mean familiarity and accuracy, over tasks with 0, 2, ... unseen classes.
    - ``bins``: accuracy of the tasks by mean familiarity.

    Args:
        measurer: generates and measures.
        variants: variants of prompts, of which those in `KINDS` are used.
        on_stage: called with a short text when a kind begins.
    """
    known_variants = [variant for variant in variants if variant.label in KINDS]
    found = []
    for variant in known_variants:
        on_stage(f"familiarity of {variant.label}")
        repeats = _REPEATS if variant.group == "pictures" else 1
        values: dict[bool, list[float]] = {True: [], False: []}
        everyone = [*measurer.known, *measurer.unseen]
        for repeat in range(repeats):
            (condition,) = measurer.conditions([everyone], variant, repeat)
            assert condition.familiarity is not None
            for name, value in zip(everyone, condition.familiarity.tolist(), strict=True):
                values[name in measurer.known].append(value)
        tasks, unseen = mixed_tasks(measurer)
        accuracies, read = measurer.measure(tasks, variant)
        means = [float(condition.familiarity.mean()) for condition in read if condition.familiarity is not None]
        found.append(
            {
                "variant": variant.label,
                "auroc": auroc(values[True], values[False]),
                "known": summarize(values[True]).to_json(),
                "strange": summarize(values[False]).to_json(),
                "num_tasks": len(tasks),
                "spearman": spearman(means, accuracies),
                "by_strange_classes": _by(unseen, means, accuracies),
                "bins": _bins(means, accuracies),
            }
        )
    return found


def mixed_tasks(measurer: PromptMeasurer) -> tuple[list[tuple[str, ...]], list[int]]:
    """Return tasks with 0, 2, ... unseen classes, as many of each, and the number of unseen classes of each task.

    No class set is one of training. A number of unseen classes is left out if (nearly) no such class set is reserved:
    ten classes out of ten unseen ones, for example, are a single set.
    """
    count, number = measurer.request.num_classes, measurer.request.num_tasks
    wanted = "validation" if measurer.request.image_split == "validation" else "test"
    steps = [s for s in range(0, count + 1, 2) if s <= len(measurer.unseen) and count - s <= len(measurer.known)]
    tasks: list[tuple[str, ...]] = []
    unseen: list[int] = []
    for s in steps:
        draws = random.Random(f"{measurer.request.task_seed}/mixed/{s}")
        for _ in range(-(-number // len(steps))):
            drawn = (
                (*draws.sample(measurer.unseen, s), *draws.sample(measurer.known, count - s)) for _ in range(_DRAWS)
            )
            task = next((classes for classes in drawn if partition_of(classes) == wanted), None)
            if task is None:
                break
            tasks.append(task)
            unseen.append(s)
    return tasks, unseen


def _by(unseen: Sequence[int], means: Sequence[float], accuracies: Sequence[float]) -> list[dict[str, Any]]:
    rows = []
    for s in sorted(set(unseen)):
        places = [i for i, other in enumerate(unseen) if other == s]
        rows.append(
            {
                "strange_classes": s,
                "num_tasks": len(places),
                "familiarity": float(np.mean([means[i] for i in places])),
                "accuracy": summarize([accuracies[i] for i in places]).to_json(),
            }
        )
    return rows


def _bins(means: Sequence[float], accuracies: Sequence[float]) -> list[dict[str, Any]]:
    rows = []
    for low, high in _BINS:
        inside = [a for m, a in zip(means, accuracies, strict=True) if low <= m < high]
        if inside:
            rows.append(
                {"from": low, "to": min(high, 1.0), "num_tasks": len(inside), "accuracy": summarize(inside).to_json()}
            )
    return rows
