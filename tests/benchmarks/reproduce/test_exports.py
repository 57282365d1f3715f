"""Rows of export formats become a table, with the reference networks below."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reproduce.exports import MLPERF_TINY, main, table
from tina_framework.errors import ConfigError


def row(**changes: Any) -> dict[str, Any]:
    values = {
        "classifier": "pets",
        "format": "onnx",
        "int8": True,
        "bytes": 11_697,
        "pictures": 100,
        "agreement": 0.99,
        "accuracy": 0.76,
        "exported_accuracy": 0.75,
        "milliseconds": 0.0536,
    }
    return {**values, **changes}


def test_a_table() -> None:
    lines = table([row(), row(int8=False, bytes=24_781, agreement=1.0)])
    assert lines[2] == "| pets | `onnx` | floating point | 25 | 100.0 % of 100 | 76.0 % | 75.0 % | 0.05 |"
    assert lines[3] == "| pets | `onnx` | 8-bit integers | 12 | 99.0 % of 100 | 76.0 % | 75.0 % | 0.05 |"
    assert len(lines) == 4 + len(MLPERF_TINY)


def test_a_page_is_filled(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "one.json").write_text(json.dumps(row()), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- exports -->\nold\n<!-- /exports -->\nafter\n", encoding="utf-8")
    main(["table", str(tmp_path / "rows"), "--into", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- exports -->\n| classifier")
    assert text.endswith("|\n<!-- /exports -->\nafter\n")
    assert "old" not in text


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no rows"):
        main(["table", str(tmp_path)])
    (tmp_path / "one.json").write_text(json.dumps(row()), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no place"):
        main(["table", str(tmp_path), "--into", str(page)])
