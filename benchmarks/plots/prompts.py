"""Draw accuracy by kind of prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.plots.style import COLOURS, GREY, caption, new_figure
from tina_framework.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["by_prompt"]

_GROUPS = ("text", "pictures", "mixed")


def by_prompt(rows: Sequence[Mapping[str, Any]], note: str) -> Figure:
    """Draw a dot with its interval for each kind of prompt, and a line at plain names, which come first.

    Args:
        rows: ``variants`` of ``prompts.json``.
        note: the caption: what the figures were measured on.

    Raises:
        DataError: there is no row.
    """
    if not rows:
        raise DataError("There is nothing to draw: the suite measured no prompts.")
    names = 100 * rows[0]["accuracy"]["mean"]
    with new_figure("Accuracy by kind of prompt", "accuracy, %", "") as (figure, axes):
        figure.set_size_inches(7.8, 1.4 + 0.27 * len(rows))
        axes.axvline(names, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        for place, row in enumerate(rows):
            mean, ends = 100 * row["accuracy"]["mean"], row["accuracy"]["ci95"]
            errors = [[0.0], [0.0]] if ends is None else [[mean - 100 * ends[0]], [100 * ends[1] - mean]]
            colour = COLOURS[_GROUPS.index(row["group"])] if row["group"] in _GROUPS else GREY
            face = "white" if row["variant"].endswith("as encoded") else colour
            axes.errorbar(
                [mean],
                [place],
                xerr=errors,
                fmt="o",
                color=colour,
                markerfacecolor=face,
                capsize=3,
                elinewidth=1.2,
                zorder=3,
            )
        axes.set_yticks(range(len(rows)), [row["variant"] for row in rows], fontsize=9.5)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        caption(axes, note)
        return figure
