"""Results as tables for the terminal and as Markdown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evaluation.test_results import SETUP, TASKS, pick, result
from tina_framework.evaluation.result_tables import command_block, markdown, short_tables, table
from tina_framework.evaluation.results import assemble


@pytest.fixture
def summary() -> dict[str, Any]:
    results = [
        result("tina", [0.7, 0.6, 0.9, None], skipped=[("seen", "1 of 1 tasks left out")]),
        result("selection", [0.6, 0.6, 0.7, 0.4]),
        result("selection@other", [0.5, 0.6, 0.7, 0.4]),
    ]
    return assemble(TASKS, results, SETUP).summary


def test_the_table_is_in_percent(summary: dict[str, Any]) -> None:
    line = pick(table(summary), method="tina", classes="2")
    assert (line["accuracy %"], line["tasks"], line["s/model"]) == ("80.0", 2, "0.2")
    assert line["vs selection"].startswith("+15.00 (")
    assert pick(table(summary), method="selection", classes="3")["95 % interval"] is None


def test_the_short_table_fits_a_terminal(summary: dict[str, Any]) -> None:
    tables = dict(short_tables(summary))
    assert list(tables) == [
        "unseen-combination, all class counts",
        "unseen-combination, 3 classes",
        "unseen-combination, 2 classes",
        "seen, 2 classes",
    ]
    line = pick(tables["unseen-combination, 2 classes"], method="tina")
    assert (line["accuracy %"], line["vs selection"]) == ("80.0 ± 127.1", "+15.00 ± 63.53")
    assert pick(tables["seen, 2 classes"], method="selection")["accuracy %"] == "40.0"


def test_markdown_says_everything(summary: dict[str, Any]) -> None:
    summary["skipped"][0]["reason"] = "a | b\nc"
    text = markdown(summary)
    assert "| unseen-combination | 2 | tina | 2 | 80.0 |" in text
    assert "- `tina` on seen: a \\| b c" in text
    for part in (
        "selection@other",
        "beware",
        "`tina evaluate --model m`",
        "arrays:toys.npz",
        "about tina",
        "2025-01-01",
    ):
        assert part in text


def test_a_long_command_is_broken_before_options() -> None:
    assert command_block("tina evaluate --model m") == "```console\ntina evaluate --model m\n```"
    block = command_block("tina evaluate --model m --tasks t.json --out o", width=30)
    assert block.splitlines()[1:-1] == ["tina evaluate --model m \\", "    --tasks t.json --out o"]


def test_memory_is_in_millions_of_bytes_where_it_is_known(summary: dict[str, Any]) -> None:
    assert pick(table(summary), method="selection", classes="3")["memory MB"] == "12"
    assert pick(table(summary), method="selection", split="seen")["memory MB"] is None
    assert pick(dict(short_tables(summary))["unseen-combination, 2 classes"], method="tina")["MB"] == "2"
