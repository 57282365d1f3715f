"""The picture of prompts has a row for each kind of prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.errors import DataError

pytest.importorskip("matplotlib")

from benchmarks.plots.prompts import by_prompt
from benchmarks.plots.style import save


def row(label: str, group: str, mean: float) -> dict[str, object]:
    return {
        "variant": label,
        "group": group,
        "accuracy": {"mean": mean, "std": 0.1, "ci95": [mean - 0.02, mean + 0.02]},
    }


def test_rows_come_top_down_with_their_intervals(tmp_path: Path) -> None:
    figure = by_prompt([row("names", "text", 0.7), row("1 picture, as encoded", "pictures", 0.4)], "3 tasks")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["names", "1 picture, as encoded"]
    top, bottom = axes.get_ylim()
    assert top > bottom  # the first row is on top
    save(figure, tmp_path / "prompts.png")
    assert (tmp_path / "prompts.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        by_prompt([], "")
