"""Draw what two methods gain over selection, task by task."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from benchmarks.plots.series import Pairs
from benchmarks.plots.style import COLOURS, GREY, caption, new_figure
from tina_framework.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ratio", "scatter"]

_DRAWS = 2000


def ratio(pairs: Pairs) -> tuple[float, float, float] | None:
    """Return mean of y over mean of x, and a 95 % interval: percentile bootstrap over tasks, 2,000 draws, seed 0.

    Return None if the mean of x is above zero in fewer than 97.5 % of the draws, because the ratio means nothing then.
    """
    n, draws = len(pairs.x), random.Random(0)
    found: list[float] = []
    for _ in range(_DRAWS):
        rows = draws.choices(range(n), k=n)
        below = sum(pairs.x[i] for i in rows)
        found.append(sum(pairs.y[i] for i in rows) / below if below > 0 else float("nan"))
    kept = sorted(value for value in found if value == value)
    if sum(pairs.x) <= 0 or len(kept) < 0.975 * _DRAWS:
        return None
    return sum(pairs.y) / sum(pairs.x), kept[int(0.025 * len(kept))], kept[int(0.975 * len(kept))]


def scatter(pairs: Pairs, note: str) -> Figure:
    """Draw a dot for each task, the diagonal of equal gain, and the ratio of the means.

    Raises:
        DataError: there are fewer than two tasks.
    """
    if len(pairs.x) < 2:
        raise DataError(f"Only {len(pairs.x)} tasks have both '{pairs.method}' and '{pairs.other}'; two are needed.")
    x, y = [100 * value for value in pairs.x], [100 * value for value in pairs.y]
    low, high = min(*x, *y, 0.0), max(*x, *y, 0.0)
    margin = 0.06 * (high - low or 1.0)
    low, high = low - margin, high + margin
    with new_figure(
        f"{pairs.method} against {pairs.other}, task by task",
        f"{pairs.other} minus selection, points",
        f"{pairs.method} minus selection, points",
    ) as (figure, axes):
        figure.set_size_inches(6.2, 5.6)
        axes.set_aspect("equal")
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.axvline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.plot([low, high], [low, high], color=GREY, linewidth=1.2, zorder=1)
        axes.plot(x, y, "o", color=COLOURS[0], alpha=0.55, markeredgewidth=0, markersize=6.5)
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        axes.plot([mean_x], [mean_y], "D", color=COLOURS[1], markersize=9, markeredgecolor="white", zorder=4)
        found = ratio(pairs)
        text = f"mean: {mean_y:+.2f} against {mean_x:+.2f}"
        if found is not None:
            text += f"\nratio {found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"
        axes.text(
            0.98, 0.03, text, transform=axes.transAxes, ha="right", color=COLOURS[1], fontweight="bold", fontsize=10.5
        ).set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2})
        axes.annotate(
            "equal gain",
            (high, high),
            (-6, -20),
            textcoords="offset points",
            ha="right",
            va="top",
            color=GREY,
            fontsize=9.5,
            rotation=45,
            rotation_mode="anchor",
        )
        above = sum(b > a for a, b in zip(x, y, strict=True))
        caption(axes, f"{note}; {above} of {len(x)} above the line")
        return figure
