"""Does a generator know what it does not know? Familiarity against whether a class was trained on, and against accuracy."""

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
"""Class sets drawn for one task, before there seems to be none in the partition."""
_BINS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0 + 1e-9))
KINDS = ("names", "descriptions", *("1 picture" if n == 1 else f"{n} pictures" for n in SHOTS))


def auroc(high: Sequence[float], low: Sequence[float]) -> float:
    """Probability that a value of `high` is above one of `low`, ties counted half.

    Raises:
        ValueError: one of the two is empty.
    """
    if not len(high) or not len(low):
        raise ValueError("AUROC needs values on both sides.")
    ranks = _ranks([*high, *low])[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) - 1) / 2) / (len(high) * len(low)))


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Correlation of ranks; None where one side is constant or empty."""
    a, b = _ranks(x), _ranks(y)
    if not len(a) or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Sequence[float]) -> Any:
    """Ranks from 0, ties at their mean."""
    array = np.asarray(values, dtype=np.float64)
    ordered, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    del ordered
    ends = np.cumsum(counts)
    return ((ends - counts) + (ends - 1))[inverse] / 2.0


def measure_familiarity(
    world: PromptMeasurer, ways: Sequence[PromptVariant], say: Callable[[str], object]
) -> list[dict[str, Any]]:
    """One entry a kind of prompt.

    - ``auroc``: of familiarity, known classes against strange ones.
    - ``spearman``: over tasks with 0, 2, ... strange classes, of mean familiarity with accuracy.
    - ``bins``: accuracy of the tasks by mean familiarity.
    """
    known_ways = [way for way in ways if way.label in KINDS]
    found = []
    for way in known_ways:
        say(f"familiarity of {way.label}")
        repeats = _REPEATS if way.group == "pictures" else 1
        values: dict[bool, list[float]] = {True: [], False: []}
        everyone = [*world.known, *world.strange]
        for repeat in range(repeats):
            (condition,) = world.conditions([everyone], way, repeat)
            assert condition.familiarity is not None
            for name, value in zip(everyone, condition.familiarity.tolist(), strict=True):
                values[name in world.known].append(value)
        tasks, strange = mixed_tasks(world)
        accuracies, read = world.measure(tasks, way)
        means = [float(condition.familiarity.mean()) for condition in read if condition.familiarity is not None]
        found.append(
            {
                "variant": way.label,
                "auroc": auroc(values[True], values[False]),
                "known": summarize(values[True]).to_json(),
                "strange": summarize(values[False]).to_json(),
                "num_tasks": len(tasks),
                "spearman": spearman(means, accuracies),
                "by_strange_classes": _by(strange, means, accuracies),
                "bins": _bins(means, accuracies),
            }
        )
    return found


def mixed_tasks(world: PromptMeasurer) -> tuple[list[tuple[str, ...]], list[int]]:
    """Tasks with 0, 2, ... strange classes, as many of each, and their numbers of strange classes; never class sets of training.

    A number of strange classes is left out where (nearly) no such class set is in the partition: ten of ten strange classes are one set.
    """
    count, number = world.request.num_classes, world.request.num_tasks
    wanted = "validation" if world.request.image_split == "validation" else "test"
    steps = [s for s in range(0, count + 1, 2) if s <= len(world.strange) and count - s <= len(world.known)]
    tasks: list[tuple[str, ...]] = []
    strange: list[int] = []
    for s in steps:
        draws = random.Random(f"{world.request.task_seed}/mixed/{s}")
        for _ in range(-(-number // len(steps))):
            drawn = ((*draws.sample(world.strange, s), *draws.sample(world.known, count - s)) for _ in range(_DRAWS))
            task = next((classes for classes in drawn if partition_of(classes) == wanted), None)
            if task is None:
                break
            tasks.append(task)
            strange.append(s)
    return tasks, strange


def _by(strange: Sequence[int], means: Sequence[float], accuracies: Sequence[float]) -> list[dict[str, Any]]:
    rows = []
    for s in sorted(set(strange)):
        places = [i for i, other in enumerate(strange) if other == s]
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
