"""Draw curves with 95 % intervals: sampling steps, training, class counts, fine-tuning and abstaining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.plots.reading import Point
from benchmarks.plots.style import COLOURS, GREY, LINES, caption, end_labels, new_figure
from tina_framework.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["abstaining", "class_counts", "steps", "training", "usefulness"]

_GAIN = "accuracy minus selection, points"


def steps(series: Mapping[str, Sequence[Point]], note: str) -> Figure:
    """Draw accuracy against the number of sampling steps, with a curve for each scheduler.

    Args:
        series: scheduler -> differences from selection; x is the number of steps.
        note: the caption: what the figures were measured on.
    """
    with new_figure("Accuracy against sampling steps", "sampling steps", _GAIN) as (figure, axes):
        axes.set_xscale("log")
        named = {f"tina, {name}": points for name, points in series.items()}
        _draw(axes, named, 100.0)
        _whole_numbers(axes, sorted({point.x for points in series.values() for point in points}))
        _finish(axes, named, 100.0, note, zero="selection")
        return figure


def training(runs: Mapping[str, Sequence[Mapping[str, float]]], note: str, *, against: str = "step") -> Figure:
    """Draw the validation during training, with a curve for each run.

    Args:
        runs: name -> what `read_log` returns.
        note: the caption: what the figures were measured on.
        against: ``step`` or ``seconds``.
    """
    longest = max((row[against] for rows in runs.values() for row in rows), default=0.0)
    unit, name = (1.0, "training steps") if against == "step" else _time_unit(longest)
    series = {
        run: [
            Point(row[against] / unit, row["difference"], *_about(row["difference"], 1.96 * row["standard_error"]))
            for row in rows
        ]
        for run, rows in runs.items()
    }
    with new_figure("Validation during training", name, _GAIN) as (figure, axes):
        _draw(axes, series, 100.0, band=True)
        axes.set_xlim(left=0)
        if against == "step":
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _finish(axes, series, 100.0, note, zero="selection")
        return figure


def _about(centre: float, half: float) -> tuple[float, float]:
    return centre - half, centre + half


def _time_unit(seconds: float) -> tuple[float, str]:
    return (3600.0, "hours of training") if seconds > 3 * 3600 else (60.0, "minutes of training")


def class_counts(series: Mapping[str, Sequence[Point]], note: str) -> Figure:
    """Draw differences from selection against the number of classes, with a curve for each method."""
    counts = sorted({point.x for points in series.values() for point in points})
    if not counts:
        raise DataError("There is nothing to draw: no method was measured at two class counts or more.")
    with new_figure("Gain by number of classes", "classes of a task", _GAIN) as (figure, axes):
        places = _apart({name: list(points) for name, points in series.items()}, 0.02 * (counts[-1] - counts[0] or 1))
        _draw(axes, places, 100.0)
        axes.set_xticks(counts, [f"{count:g}" for count in counts])
        _finish(axes, places, 100.0, note, zero="selection")
        return figure


def usefulness(series: Mapping[str, Sequence[Point]], note: str) -> Figure:
    """Draw accuracy after fine-tuning, with a curve for each start; x is the number of pictures a class."""
    shots = sorted({point.x for points in series.values() for point in points})
    # The places are evenly spaced, because a logarithmic axis has no 0.
    placed = {name: [Point(shots.index(p.x), p.mean, p.low, p.high) for p in points] for name, points in series.items()}
    with new_figure("Fine-tuning on a few pictures", "pictures a class", "accuracy, %") as (figure, axes):
        apart = _apart(placed, 0.02 * len(shots))
        _draw(axes, apart, 100.0)
        axes.set_xticks(range(len(shots)), [f"{shot:g}" for shot in shots])
        _finish(axes, apart, 100.0, note)
        return figure


def abstaining(series: Mapping[str, Sequence[Point]], marks: Mapping[str, Point], note: str) -> Figure:
    """Draw the share of foreign pictures refused against the accuracy kept, with a curve for each class count.

    Args:
        series: name -> share refused; x is the share of the accuracy that is kept.
        marks: name -> the point of the thresholds in the generator.
        note: the caption: what the figures were measured on.
    """
    title, kept = "Answering 'none of these'", "share of the accuracy kept on the task's own pictures, %"
    with new_figure(title, kept, "pictures of other classes refused, %") as (figure, axes):
        scaled = {n: [Point(100 * p.x, p.mean, p.low, p.high) for p in points] for n, points in series.items()}
        _draw(axes, scaled, 100.0, band=True, marker="")
        for i, name in enumerate(series):
            if name in marks:
                axes.plot(
                    100 * marks[name].x, 100 * marks[name].mean, "o", color=COLOURS[i % len(COLOURS)], markersize=8
                )
        least = min(point.x for points in scaled.values() for point in points)
        axes.plot([100, least], [0, 100 - least], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xlim(100, least)  # reversed: what is lost grows to the right
        axes.set_ylim(0, 100)
        caption(axes, note)
        ends = [(n, points[-1].x, 100 * points[-1].mean, COLOURS[i]) for i, (n, points) in enumerate(scaled.items())]
        end_labels(axes, [*ends, ("at random", least, 100 - least, GREY)])
        return figure


def _apart(series: Mapping[str, Sequence[Point]], gap: float) -> dict[str, list[Point]]:
    """Move each curve sideways a little, so that intervals at the same x do not hide each other."""
    middle = (len(series) - 1) / 2
    return {
        name: [Point(p.x + (i - middle) * gap, p.mean, p.low, p.high, p.label) for p in points]
        for i, (name, points) in enumerate(series.items())
    }


def _draw(
    axes: Axes, series: Mapping[str, Sequence[Point]], scale: float, *, band: bool = False, marker: str = "o"
) -> None:
    if not any(series.values()):
        raise DataError("There is nothing to draw: no curve has a point.")
    for i, points in enumerate(series.values()):
        colour, line = COLOURS[i % len(COLOURS)], LINES[i % len(LINES)]
        x, mean = [p.x for p in points], [scale * p.mean for p in points]
        low, high = [scale * p.low for p in points], [scale * p.high for p in points]
        if band:
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(x, mean, color=colour, linestyle=line, marker=marker, markersize=4)
        else:
            errors = [[m - a for m, a in zip(mean, low, strict=True)], [b - m for m, b in zip(mean, high, strict=True)]]
            axes.errorbar(x, mean, yerr=errors, color=colour, linestyle=line, marker="o", capsize=3, elinewidth=1.2)


def _whole_numbers(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xticks(values, [f"{value:,.0f}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())


def _finish(
    axes: Axes, series: Mapping[str, Sequence[Point]], scale: float, note: str, *, zero: str | None = None
) -> None:
    """Add the caption, the line of the reference, and a name where each curve ends."""
    caption(axes, note)
    right = max(point.x for points in series.values() for point in points)
    ends = []
    for i, (name, points) in enumerate(series.items()):
        if points:
            ends.append((name, points[-1].x, scale * points[-1].mean, COLOURS[i % len(COLOURS)]))
    if zero is not None:
        axes.axhline(0, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        ends.append((zero, right, 0.0, GREY))
    end_labels(axes, ends)
