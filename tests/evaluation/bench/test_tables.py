"""The table of a bench, for the terminal and as Markdown."""

from __future__ import annotations

from typing import Any

from tests.evaluation.bench.test_entries import SPLIT, entry
from tests.evaluation.test_results import SETUP, pick
from tina_framework.evaluation.bench.tables import bench_columns, bench_markdown, bench_tables, footnotes, reasons
from tina_framework.evaluation.results import assemble
from tina_framework.zoo.tasks import Task

TASKS = [Task(("ant", "bee", "cat"), SPLIT), Task(("ant", "bee", "dog"), SPLIT)]


def summary() -> dict[str, Any]:
    reference, tina, mine = entry("selection", (0.5, 0.5)), entry("tina", (0.7, 0.6)), entry("mine", (None, None))
    reference.sensitivity = {}
    reference.novelty = {"errors_nearest": 0.25, "to_nearest": 0.5, "between_models": 1.25}
    mine.result.skipped = [(None, "no | weights")]
    mine.sensitivity = {"reason": "too slow"}
    entries = [reference, tina, mine]
    assembled = assemble(TASKS, [each.result for each in entries], SETUP).summary
    return {
        "format": "tina-bench",
        "format_version": 1,
        "protocol": {"name": "toys", "title": "Toys", "reference": "selection"},
        "quick": True,
        "identity": {"protocol": "a", "tasks": "b", "pictures": "c"},
        **{key: assembled[key] for key in ("rows", "paired", "skipped", "setup")},
        "methods": [each.to_json() for each in entries],
        "tasks": [],
    }


SUMMARY = summary()


def test_one_line_a_method() -> None:
    [(title, lines)] = bench_tables(SUMMARY)
    assert title == "unseen-combination, 3 classes"
    first, second = pick(lines, method="selection"), pick(lines, method="tina")
    assert len(lines) == 2
    assert set(bench_columns(SUMMARY)) <= set(first)
    assert (first["vs selection"], first["prompt"], first["mistakes"], first["distance"]) == (
        None,
        None,
        "0.25",
        "0.50",
    )
    assert (second["accuracy %"][:4], second["vs selection"][:6], second["prompt"]) == ("65.0", "+15.00", "0.50")
    assert second["mistakes"] is None


def test_footnotes_and_reasons() -> None:
    text = "\n".join(footnotes(SUMMARY))
    assert "vs selection: mean over tasks, and the paired difference from 'selection'" in text
    assert "between p-Models it is 1.25" in text
    lines = reasons(SUMMARY)
    assert "mine: no \\| weights" in lines
    assert "mine, prompt: too slow" in lines
    assert "tina, mistakes, distance: no zoo" in lines


def test_a_dash_where_random_prompts_do_as_well_has_its_reason() -> None:
    methods = [{**each, "sensitivity": {**each["sensitivity"], "ratio": None}} for each in SUMMARY["methods"][1:2]]
    assert "tina, prompt: random prompts do as well" in reasons({**SUMMARY, "methods": methods})
    assert not any("random prompts" in line for line in reasons(SUMMARY))


def test_markdown_says_everything() -> None:
    text = bench_markdown(SUMMARY)
    for part in (
        "# Bench toys, quick",
        "| tina | 2 | 65.0",
        "## Not measured",
        "- `tina` (fake 1.0): two steps",
        "  - paper: A paper",
        "beware",
        "`tina evaluate --model m`",
    ):
        assert part in text
