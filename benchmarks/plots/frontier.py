"""Draw the gain of methods against the time they take."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.plots.series import Cost
from benchmarks.plots.style import COLOURS, GREY, caption, halo, new_figure
from tina_framework.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ["best_for_time", "frontier", "shown"]

_FASTEST = 1e-4
"""Seconds; faster methods are drawn at this place."""

_FLOOR = -3.0
"""Points. Methods below it are listed with their figure instead of drawn, so that the others do not crowd together."""


def best_for_time(costs: Sequence[Cost]) -> list[Cost]:
    """Return the methods that no faster method matches, fastest first."""
    best: list[Cost] = []
    for cost in sorted(costs, key=lambda c: (_place(c), -c.gain.mean)):
        if not best or cost.gain.mean > best[-1].gain.mean:
            best.append(cost)
    return best


def shown(costs: Sequence[Cost]) -> list[Cost]:
    """Return the methods to draw: of *tina* only one step and the default, because steps have their own picture."""
    return [c for c in costs if not c.method.startswith("tina@") or c.method == "tina@1" or ":" in c.method]


def frontier(costs: Sequence[Cost], accuracy: float, note: str) -> Figure:
    """Draw a labelled point for each method, and a line through those that no faster method matches.

    Args:
        costs: time and gain of all methods.
        accuracy: accuracy of selection, the zero of the axis, as a fraction of 1.
        note: the caption: what the figures were measured on.

    Raises:
        DataError: there is no method.
    """
    near = [cost for cost in costs if 100 * cost.gain.mean >= _FLOOR]
    far = [cost for cost in costs if 100 * cost.gain.mean < _FLOOR]
    if not near:
        raise DataError("There is nothing to draw: no method comes near selection.")
    y = f"accuracy minus selection ({100 * accuracy:.1f} %), points"
    with new_figure("Accuracy against time", "time a model", y) as (figure, axes):
        axes.set_xscale("log")
        times = [_place(cost) for cost in near]
        axes.set_xlim(0.4 * min(times), 4 * max(times))
        axes.xaxis.set_major_formatter(lambda value, _: _time(value))
        low = min(0.0, *(100 * cost.gain.low for cost in near))
        high = max(0.0, *(100 * cost.gain.high for cost in near))
        axes.set_ylim(low - (0.22 if far else 0.1) * (high - low or 1.0), high + 0.12 * (high - low or 1.0))
        axes.axhline(0, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        line = [(_place(cost), 100 * cost.gain.mean) for cost in best_for_time(near)]
        line.append((4 * max(times), line[-1][1]))
        axes.plot(*zip(*line, strict=True), color=COLOURS[2], alpha=0.6, drawstyle="steps-post", zorder=2)
        most = max(cost.num_tasks for cost in costs)
        labels = []
        for cost in near:
            colour = COLOURS[0] if cost.method.startswith("tina") else "#333333"
            place, mean = (_place(cost), 100 * cost.gain.mean), cost.gain.mean
            errors = [[100 * (mean - cost.gain.low)], [100 * (cost.gain.high - mean)]]
            axes.errorbar(
                [place[0]], [place[1]], yerr=errors, fmt="o", color=colour, capsize=3, elinewidth=1.1, zorder=3
            )
            few = "" if cost.num_tasks == most else f", {cost.num_tasks} tasks"
            labels.append((_short(cost.method) + few, *place, colour))
        if far:
            told = ", ".join(f"{cost.method} −{-100 * cost.gain.mean:.1f}" for cost in far)
            lines = textwrap.fill(f"Far below: {told}", 74)
            axes.text(0.01, 0.02, lines, transform=axes.transAxes, color=GREY, fontsize=9.5, path_effects=halo())
        _label(axes, labels, [*_bars(axes, near), *_segments(axes, line)])
        caption(axes, note)
        return figure


def _short(label: str) -> str:
    name, _, argument = label.partition("@")
    if "/" in argument:  # the name of a folder tells a reader nothing
        return name
    return label if len(label) <= 28 else label[:27] + "…"


def _place(cost: Cost) -> float:
    return max(cost.seconds, _FASTEST)


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 0.1 else f"{1000 * seconds:g} ms"


def _bars(axes: Axes, costs: Sequence[Cost]) -> list[Bbox]:
    """Return the boxes of the intervals in pixels."""
    from matplotlib.transforms import Bbox

    ends = [
        axes.transData.transform([(_place(c), 100 * c.gain.low), (_place(c), 100 * c.gain.high)]).tolist()
        for c in costs
    ]
    return [Bbox([[x - 8, low], [x + 8, high]]) for (x, low), (_, high) in ends]


def _segments(axes: Axes, line: Sequence[tuple[float, float]]) -> list[Bbox]:
    """Return the boxes of the line's steps in pixels."""
    from matplotlib.transforms import Bbox

    dots = axes.transData.transform(line).tolist()
    found = []
    for (x, y), (next_x, next_y) in itertools.pairwise(dots):
        found.append(Bbox([[x, y - 3], [next_x, y + 3]]))
        found.append(Bbox([[next_x - 3, min(y, next_y)], [next_x + 3, max(y, next_y)]]))
    return found


_OFFSETS = [
    *((9, 0), (-9, 0), (9, 11), (9, -11), (-9, 11), (-9, -11), (0, 14), (0, -14)),
    *((9, 24), (9, -24), (-9, 24), (-9, -24), (0, 36), (0, -36)),
]
"""Where a label may be placed beside its point, in typographic points, best first."""


def _label(axes: Axes, labels: Sequence[tuple[str, float, float, str]], obstacles: Sequence[Bbox]) -> None:
    """Put each text beside its point, where it covers least of what is already drawn."""
    from matplotlib.transforms import Bbox

    figure: Any = axes.figure
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    dots = axes.transData.transform([(x, y) for _, x, y, _ in labels]).tolist()
    taken = [*obstacles, *(Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in dots)]
    inside = axes.get_window_extent(renderer)
    for text, x, y, colour in labels:
        note = axes.annotate(text, (x, y), (0, 0), textcoords="offset points", color=colour, fontsize=9.5)
        note.set(va="center", fontweight="bold" if text.startswith("tina") else "normal", path_effects=halo(), zorder=5)
        costs = []
        for rank, (right, up) in enumerate(_OFFSETS):
            _move(note, right, up)
            box = note.get_window_extent(renderer)
            cost = sum(_shared(box, other) for other in taken) + 4 * (box.width * box.height - _shared(box, inside))
            costs.append((cost + 20 * rank, right, up))
        _, right, up = min(costs)
        _move(note, right, up)
        taken.append(note.get_window_extent(renderer))


def _move(note: Annotation, right: int, up: int) -> None:
    note.set(position=(right, up), ha="left" if right > 0 else "right" if right < 0 else "center")


def _shared(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share, in square pixels."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0.0) * max(height, 0.0))
