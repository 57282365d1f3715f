"""The script that draws the curve of accuracy over the number of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from few_pictures import COUNTS, OURS, draw, markdown


def results() -> dict[str, Any]:
    entry = {"mean": 90.0, "ci95": [89.0, 91.0]}
    learnt = {str(count): {**entry, "difference": {"mean": 1.0, "ci95": [0.5, 1.5]}} for count in COUNTS[1:]}
    return {
        "reference": OURS,
        "methods": {
            OURS: {str(count): entry for count in COUNTS},
            **dict.fromkeys(("logistic regression", "class means", "photographs in place of names"), learnt),
        },
        "classes_per_task": 10,
        "num_tasks": 2,
        "size": 160,
    }


def test_the_table_has_every_count_and_every_difference() -> None:
    lines = markdown(results()).splitlines()
    assert lines[0] == "| photographs a class | 0 | 1 | 2 | 5 | 10 | 20 |"
    assert lines[3] == "| logistic regression |  " + "| 90.0 ± 1.0 " * 5 + "|"
    assert lines[-1].startswith("| name and photographs minus photographs in place of names |  | +1.0 ± 0.5")


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(results(), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
