"""Folders of results become Markdown tables, and marked places of a page are filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reproduce.tables import insert, table
from tina_framework.errors import DataError


def results() -> dict[str, object]:
    """Two methods on 20 tasks of ten classes, and a row over all class counts, which no table shows."""
    row = {"split": "test", "num_classes": 10, "num_tasks": 20, "seconds_per_model": 0.0064, "parameters": 5370}
    rows = [
        {**row, "method": "tina", "accuracy": {"mean": 0.7, "ci95": [0.69, 0.71]}, "peak_memory": 5.5e7},
        {**row, "method": "selection", "accuracy": {"mean": 0.68, "ci95": [0.67, 0.69]}, "peak_memory": None},
        {"method": "tina", "split": "test", "num_tasks": 20},
    ]
    difference = {"mean": 0.02, "ci95": [0.01, 0.03]}
    paired = [{"method": "tina", "split": "test", "num_classes": 10, "against": "selection", "difference": difference}]
    return {"rows": rows, "paired": paired, "setup": {"command": "tina evaluate", "date": "2026-11-25"}}


def test_a_table_has_accuracy_difference_and_command() -> None:
    lines = table(results())
    assert lines[2:] == [
        "| `tina` | 20 | 70.00 (69.00 to 71.00) | +2.00 (+1.00 to +3.00) | 0.006 | 5370 | 55 |",
        "| `selection` | 20 | 68.00 (67.00 to 69.00) |  | 0.006 | 5370 |  |",
        "",
        "```console",
        "tina evaluate",
        "```",
    ]


def test_marked_places_are_filled(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "results.json").write_text(json.dumps(results()))
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "prompts.md").write_text("a page\n")
    text = "before\n<!-- one -->\nold\n<!-- /one -->\nbetween\n<!-- suite -->\n<!-- /suite -->\nafter"
    filled = insert(text, tmp_path)
    assert "old" not in filled
    assert "| `tina` | 20 |" in filled
    assert "<!-- suite -->\na page\n<!-- /suite -->\nafter" in filled
    assert insert(filled, tmp_path) == filled
    with pytest.raises(DataError, match=r"results\.json' is missing"):
        insert("<!-- two -->\n<!-- /two -->", tmp_path)
