"""Draw accuracy against the number of parameters: several networks of one generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.plots.style import COLOURS, LINES, caption, end_labels, new_figure
from tina_framework.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["networks"]

_LINES = {"tina": "one generator", "fine_tune": "fine-tuning", "selection": "selection"}


def networks(rows: Sequence[Mapping[str, Any]], never_trained: Sequence[str], note: str) -> Figure:
    """Draw a line for each method, with a point for each network.

    Args:
        rows: what `benchmarks.reproduce.many_table.rows` returns.
        never_trained: the networks that the generator was not trained for. Their points are hollow.
        note: the caption: what the figures were measured on.

    Raises:
        DataError: there are fewer than two networks.
    """
    if len(rows) < 2:
        raise DataError("There is nothing to draw: one network makes no curve.")
    with new_figure("Accuracy against size", "parameters of a network for ten classes", "accuracy, %") as (
        figure,
        axes,
    ):
        axes.set_xscale("log")
        ends = []
        for number, (method, label) in enumerate(_LINES.items()):
            points = [
                (row["parameters"], _accuracy(row, method), row["name"] in never_trained)
                for row in rows
                if row[method] is not None
            ]
            if not points:
                continue
            colour = COLOURS[number]
            axes.plot(
                [x for x, _, _ in points], [y for _, y, _ in points], color=colour, linestyle=LINES[number], zorder=2
            )
            for hollow in (False, True):
                own = [(x, y) for x, y, never in points if never == hollow]
                face = "white" if hollow else colour
                axes.plot(*zip(*own, strict=True), "o", color=colour, markerfacecolor=face, zorder=3) if own else None
            ends.append((label, float(points[-1][0]), float(points[-1][1]), colour))
        sizes = [row["parameters"] for row in rows]
        axes.set_xlim(0.8 * min(sizes), 1.25 * max(sizes))
        names = [f"{row['name']}\n{row['parameters']:,}" for row in rows]
        axes.set_xticks(sizes, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
        axes.minorticks_off()
        low = min(row["selection"] for row in rows)
        high = max(_accuracy(row, method) for row in rows for method in _LINES if row[method] is not None)
        axes.set_ylim(low - 1, high + 1)
        caption(axes, note)
        end_labels(axes, ends)
        return figure


def _accuracy(row: Mapping[str, Any], method: str) -> float:
    """Return the accuracy to draw, in percent. Fine-tuning has a gain, which was measured on fewer tasks than `selection`."""
    return float(row["selection"] + row[method].mean if method == "fine_tune" else row[method])
