"""Turn results of evaluations into points: select the rows that belong in each picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.plots.reading import Point, Results

__all__ = ["Cost", "Pairs", "by_class_count", "by_steps", "costs", "task_pairs"]

REFERENCE = "selection"
_PERSONAL = ("tina", "common", "taper", "fine-tune")
"""Methods with a curve over class counts. The others are far below or no competitors."""


@dataclass(frozen=True)
class Cost:
    """Time and gain of a method.

    Attributes:
        method: its label.
        seconds: time for each model.
        gain: paired difference from selection; x is `seconds`.
        num_tasks: number of tasks that were measured.
    """

    method: str
    seconds: float
    gain: Point
    num_tasks: int


@dataclass(frozen=True)
class Pairs:
    """Differences from selection of two methods on the same tasks, as fractions of 1."""

    method: str
    other: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def _differences(results: Sequence[Results], split: str) -> list[tuple[Results, Mapping[str, Any]]]:
    """Return the paired differences from selection of single class counts."""
    return [
        (r, entry)
        for r in results
        for entry in r.summary["paired"]
        if entry["against"] == REFERENCE and entry["split"] == split and "num_classes" in entry
    ]


def _point(x: float, statistics: Mapping[str, Any], label: str = "") -> Point:
    mean = float(statistics["mean"])
    low, high = statistics["ci95"] or (mean, mean)
    return Point(x, mean, float(low), float(high), label)


def by_steps(results: Sequence[Results], split: str, num_classes: int) -> dict[str, list[Point]]:
    """Return scheduler -> differences of *tina* from selection; x is the number of sampling steps."""
    found: dict[str, dict[int, tuple[int, Point]]] = {}
    for r, entry in _differences(results, split):
        method = str(entry["method"])
        # The results record what each method ran: ``ddim, 4 steps``.
        told = re.match(r"([\w-]+), (\d+) steps?$", str(r.setup.get("methods", {}).get(method, "")))
        if method.partition("@")[0] != "tina" or entry["num_classes"] != num_classes or told is None:
            continue
        steps, tasks = int(told[2]), int(entry["num_tasks"])
        curve = found.setdefault(told[1], {})
        if steps not in curve or tasks > curve[steps][0]:
            curve[steps] = (tasks, _point(steps, entry["difference"]))
    return {name: [curve[steps][1] for steps in sorted(curve)] for name, curve in sorted(found.items())}


def by_class_count(results: Sequence[Results], split: str) -> dict[str, list[Point]]:
    """Return method -> differences from selection by number of classes, for methods with at least two counts."""
    found: dict[str, dict[int, tuple[int, Point]]] = {}
    for _, entry in _differences(results, split):
        method, count, tasks = str(entry["method"]), int(entry["num_classes"]), int(entry["num_tasks"])
        if not method.startswith(_PERSONAL) or method.startswith("tina@"):
            continue
        curve = found.setdefault(method, {})
        if count not in curve or tasks > curve[count][0]:
            curve[count] = (tasks, _point(count, entry["difference"]))
    return {m: [curve[count][1] for count in sorted(curve)] for m, curve in found.items() if len(curve) > 1}


def costs(results: Sequence[Results], split: str, num_classes: int) -> tuple[list[Cost], float]:
    """Return time and gain of every method, and the accuracy of selection, whose gain is 0.

    Of several measurements of a method, the one on most tasks counts, then the fastest: a busy machine only slows down.
    """
    found: dict[str, Cost] = {}
    accuracy, most = 0.0, 0
    for r in results:
        gains = {e["method"]: e for _, e in _differences([r], split) if e["num_classes"] == num_classes}
        for row in r.summary["rows"]:
            if row["split"] != split or row.get("num_classes") != num_classes:
                continue
            method, seconds, tasks = str(row["method"]), float(row["seconds_per_model"]), int(row["num_tasks"])
            if method == REFERENCE and tasks > most:
                accuracy, most = float(row["accuracy"]["mean"]), tasks
            if method != REFERENCE and method not in gains:
                continue
            gain = Point(seconds, 0.0, 0.0, 0.0)
            if method != REFERENCE:
                gain = _point(seconds, gains[method]["difference"])
            old = found.get(method)
            if old is None or (tasks, -seconds) > (old.num_tasks, -old.seconds):
                found[method] = Cost(method, seconds, gain, tasks)
    return sorted(found.values(), key=lambda cost: (cost.seconds, cost.method)), accuracy


def task_pairs(
    results: Sequence[Results], split: str, num_classes: int, method: str = "tina", other: str = "fine-tune"
) -> list[Pairs]:
    """Return the differences from selection of `other` (x) and of `method` (y) on the tasks that have both.

    There is one entry for every method called `other` or ``OTHER@...``. Each comes from the results with
    most such tasks. The entry with most tasks comes first.
    """
    found: dict[str, Pairs] = {}
    for r in results:
        wanted = [e["accuracy"] for e in r.tasks() if e.get("split") == split and len(e["classes"]) == num_classes]
        labels = {m for accuracy in wanted for m in accuracy if m.partition("@")[0] == other}
        for label in sorted(labels):
            both = [a for a in wanted if {method, label, REFERENCE} <= a.keys()]
            if len(both) > len(found[label].x if label in found else ()):
                x = tuple(a[label] - a[REFERENCE] for a in both)
                y = tuple(a[method] - a[REFERENCE] for a in both)
                found[label] = Pairs(method, label, x, y)
    return sorted(found.values(), key=lambda pairs: (-len(pairs.x), pairs.other))
