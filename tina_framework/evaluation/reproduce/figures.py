"""Computing the figures of a table from its tasks, and judging figures that were measured again.

Fractions of 1, except for points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_framework.evaluation.statistics import Summary, paired, summarize

__all__ = ["Figure", "Key", "Verdict", "figures", "judge", "rows"]

Key = tuple[str, int, str]
"""(split, class count, method)."""


@dataclass(frozen=True)
class Figure:
    """What a method reached on the tasks of one split and class count.

    Attributes:
        accuracy: over the tasks that the method has a network for.
        difference: from the reference, task by task. None: this is the reference, or there is none.
    """

    accuracy: Summary
    difference: Summary | None


def figures(tasks: Sequence[Mapping[str, Any]], against: str = "selection") -> dict[Key, Figure]:
    """Compute all figures of some tasks.

    Args:
        tasks: as in ``tasks.json`` (``{"classes", "split", "accuracy": {method: value}}``).
        against: the reference method of the differences.
    """
    values: dict[Key, list[tuple[float, float | None]]] = {}
    for task in tasks:
        accuracy = task["accuracy"]
        for method, value in accuracy.items():
            key = (str(task["split"]), len(task["classes"]), method)
            values.setdefault(key, []).append((value, accuracy.get(against) if method != against else None))
    return {key: _figure(found) for key, found in values.items()}


def _figure(values: Sequence[tuple[float, float | None]]) -> Figure:
    pairs = [(own, base) for own, base in values if base is not None]
    difference = paired([own for own, _ in pairs], [base for _, base in pairs]) if pairs else None
    return Figure(summarize([own for own, _ in values]), difference)


def rows(found: Mapping[Key, Figure]) -> list[dict[str, Any]]:
    """Return figures in the form of a record, rounded to 1e-6."""
    lines = []
    for (split, count, method), figure in found.items():
        line = {"method": method, "split": split, "num_classes": count, "num_tasks": figure.accuracy.n}
        line["accuracy"] = _rounded(figure.accuracy)
        if figure.difference is not None:
            line["difference"] = _rounded(figure.difference)
        lines.append(line)
    return lines


def _rounded(summary: Summary) -> dict[str, Any]:
    ends = None if summary.ci95 is None else [round(end, 6) for end in summary.ci95]
    return {"mean": round(summary.mean, 6), "ci95": ends}


@dataclass(frozen=True)
class Verdict:
    """Whether a figure holds, and why."""

    holds: bool
    text: str


def judge(recorded: Figure, measured: Figure | None, tolerance: float, *, same: bool) -> Verdict:
    """Compare accuracy and difference with the recorded ones.

    Args:
        recorded: the recorded figure on the same tasks.
        measured: the new figure; None: the method made no network.
        tolerance: in points.
        same: everything is as recorded, so that figures may differ by rounding only. Otherwise (other images, another
            encoder) it is enough that the 95 % intervals overlap. This is a coarse test: the intervals are over
            tasks, and take the images as fixed.
    """
    if measured is None:
        return Verdict(False, "not measured")
    if measured.accuracy.n != recorded.accuracy.n:
        return Verdict(False, f"differs: {measured.accuracy.n} of {recorded.accuracy.n} tasks")
    pairs = [(recorded.accuracy, measured.accuracy)]
    if recorded.difference is not None and measured.difference is not None:
        pairs.append((recorded.difference, measured.difference))
    away = max(100 * abs(now.mean - then.mean) for then, now in pairs)
    if away <= tolerance:
        return Verdict(True, f"reproduced: within {tolerance:g} points")
    if not same and all(_overlap(then, now) for then, now in pairs):
        return Verdict(True, "agrees: intervals overlap")
    return Verdict(False, f"differs: by {away:.2f} points")


def _overlap(one: Summary, other: Summary) -> bool:
    if one.ci95 is None or other.ci95 is None:
        return False
    return one.ci95[0] <= other.ci95[1] and other.ci95[0] <= one.ci95[1]
