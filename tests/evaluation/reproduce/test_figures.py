"""Figures of recorded tasks, and when a figure holds."""

from __future__ import annotations

from typing import Any

import pytest

from tina_framework.evaluation.reproduce.figures import Figure, figures, judge, rows
from tina_framework.evaluation.statistics import summarize

TASKS: list[dict[str, Any]] = [
    {"classes": ["a", "b"], "split": "s", "accuracy": {"tina": 0.7, "selection": 0.6}},
    {"classes": ["a", "c"], "split": "s", "accuracy": {"tina": 0.9, "selection": 0.7, "fine-tune": 0.95}},
    {"classes": ["a", "b", "c"], "split": "s", "accuracy": {"tina": 0.5, "selection": 0.4}},
]


def test_by_split_class_count_and_method() -> None:
    found = figures(TASKS)
    assert set(found) == {
        ("s", 2, "tina"),
        ("s", 2, "selection"),
        ("s", 2, "fine-tune"),
        ("s", 3, "tina"),
        ("s", 3, "selection"),
    }
    tina, selection = found["s", 2, "tina"], found["s", 2, "selection"]
    assert tina.accuracy.mean == pytest.approx(0.8)
    assert tina.difference is not None
    assert tina.difference.mean == pytest.approx(0.15)
    assert selection.difference is None
    fine_tune = found["s", 2, "fine-tune"]
    assert fine_tune.difference is not None
    assert (fine_tune.accuracy.n, fine_tune.difference.mean) == (1, pytest.approx(0.25))
    assert figures(TASKS, "tina")["s", 3, "selection"].difference.mean == pytest.approx(-0.1)  # type: ignore[union-attr]
    written = {(row["method"], row["num_classes"]): row for row in rows(found)}
    assert written["tina", 2]["accuracy"]["mean"] == 0.8
    assert "difference" not in written["selection", 2]


def figure(accuracy: list[float], difference: list[float]) -> Figure:
    return Figure(summarize(accuracy), summarize(difference))


OLD = figure([0.6, 0.7, 0.8], [0.01, 0.02, 0.03])


@pytest.mark.parametrize(
    ("measured", "same", "holds", "text"),
    [
        (OLD, True, True, "reproduced: within 0.3 points"),
        (figure([0.602, 0.702, 0.802], [0.012, 0.022, 0.032]), True, True, "reproduced: within 0.3 points"),
        (figure([0.605, 0.705, 0.805], [0.01, 0.02, 0.03]), True, False, "differs: by 0.50 points"),
        (figure([0.6, 0.7, 0.8], [0.015, 0.025, 0.035]), True, False, "differs: by 0.50 points"),
        (figure([0.605, 0.705, 0.805], [0.015, 0.025, 0.035]), False, True, "agrees: intervals overlap"),
        (figure([0.605, 0.705, 0.805], [0.2, 0.21, 0.22]), False, False, "differs: by 19.00 points"),
        (figure([0.6, 0.7], [0.01, 0.02]), True, False, "differs: 2 of 3 tasks"),
        (None, True, False, "not measured"),
    ],
)
def test_verdicts(measured: Figure | None, same: bool, holds: bool, text: str) -> None:
    verdict = judge(OLD, measured, 0.3, same=same)
    assert (verdict.holds, verdict.text) == (holds, text)
