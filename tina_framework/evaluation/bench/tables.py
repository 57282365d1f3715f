"""``bench.json`` as one table, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tina_framework.evaluation.result_tables import (
    markdown_table,
    plain_line,
    setup_lines,
    short_tables,
)

__all__ = ["bench_columns", "bench_markdown", "bench_tables", "footnotes", "reasons"]


_FOOTNOTES = {
    "accuracy %, vs {reference}": "mean over tasks, and the paired difference from '{reference}' in points; ± is half of the 95 % interval.",
    "prompt": "prompt sensitivity, (method - common) / (method - random prompt): the part of what text brings that lies in "
    "tensors which all classes share. A dash: not measured, because the method does not declare that it reads text, or for a "
    "reason below.",
    "mistakes": "mistakes shared with the p-Model of the most similar training task, intersection over union.",
    "distance": "from a network to the nearest p-Model, median, in shared tensors; {between}.",
    "s/model, MB": "seconds for one network, and the peak of memory meanwhile, above what was in use before.",
}
"""Columns -> what they mean."""


def bench_columns(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of the table."""
    against = f"vs {summary['protocol']['reference']}"
    return ("method", "tasks", "accuracy %", against, "prompt", "mistakes", "distance", "s/model", "MB")


def bench_tables(summary: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return (title, lines under `bench_columns`) for each split and class count."""
    entries = {entry["method"]: entry for entry in summary["methods"]}
    return [
        (title, [_line(row, entries[row["method"]]) for row in rows])
        for title, rows in short_tables(summary, summary["protocol"]["reference"])
    ]


def _line(row: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    sensitivity, novelty = entry["sensitivity"], entry["novelty"]
    more = {
        "prompt": _number(sensitivity.get("ratio")),
        "mistakes": _number(novelty.get("errors_nearest")),
        "distance": _number(novelty.get("to_nearest")),
    }
    return {**row, **more}


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def footnotes(summary: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each column that needs one."""
    found = [e["novelty"]["between_models"] for e in summary["methods"] if "between_models" in e["novelty"]]
    between = f"between p-Models it is {found[0]:.2f}" if found else "the unit is that of p-Models from the base"
    reference = summary["protocol"]["reference"]
    return [f"{column}: {text}".format(reference=reference, between=between) for column, text in _FOOTNOTES.items()]


def reasons(summary: Mapping[str, Any]) -> list[str]:
    """Return why a method has no row, or lacks a column that it should have."""
    lines = [
        f"{entry['method']}{' on ' + entry['split'] if 'split' in entry else ''}: {plain_line(entry['reason'])}"
        for entry in summary["skipped"]
    ]
    for entry in summary["methods"]:
        for column, part in (("prompt", "sensitivity"), ("mistakes, distance", "novelty")):
            if "reason" in entry[part]:
                lines.append(f"{entry['method']}, {column}: {plain_line(entry[part]['reason'])}")
        if entry["sensitivity"].get("ratio", 0) is None:
            lines.append(f"{entry['method']}, prompt: random prompts do as well")
    return lines


def bench_markdown(summary: Mapping[str, Any]) -> str:
    """Return the contents of ``bench.md``."""
    protocol, setup = summary["protocol"], summary["setup"]
    lines = [f"# Bench {protocol['name']}{', quick' if summary['quick'] else ''}", "", f"{protocol['title']}.", ""]
    for title, rows in bench_tables(summary):
        lines += [f"## {title[:1].upper()}{title[1:]}", "", *markdown_table(rows, bench_columns(summary)), ""]
    lines += [*(f"- {plain_line(text)}" for text in footnotes(summary)), ""]
    absent = reasons(summary)
    if absent:
        lines += ["## Not measured", "", *(f"- {text}" for text in absent), ""]
    lines += ["## Methods", ""]
    for entry in summary["methods"]:
        package = f" ({entry['package']})" if entry["package"] else ""
        lines.append(f"- `{entry['method']}`{package}: {plain_line(entry['description'] or 'no description')}")
        lines += [f"  - {key}: {plain_line(text)}" for key, text in entry["about"].items()]
    lines.append("")
    if setup.get("warnings"):
        lines += ["## Warnings", "", *(f"- {plain_line(text)}" for text in setup["warnings"]), ""]
    lines += ["## Setup", "", *setup_lines(setup)]
    return "\n".join(lines) + "\n"
