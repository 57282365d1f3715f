"""The files of the prompt suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tina_framework.evaluation.suite.prompt_suite import run_suite


def test_the_files(suite_request: Any, tmp_path: Path) -> None:
    from tina_framework.evaluation.suite.suite_tables import markdown, short_rows, write_suite

    result = run_suite(suite_request())
    write_suite(tmp_path, result)
    assert json.loads((tmp_path / "prompts.json").read_text())["variants"] == result["variants"]
    text = (tmp_path / "prompts.md").read_text()
    assert text == markdown(result)
    assert text.count("| names |") >= 2  # in the first table, and in those of familiarity
    assert [row["prompts"] for row in short_rows(result)] == [row["variant"] for row in result["variants"]]
