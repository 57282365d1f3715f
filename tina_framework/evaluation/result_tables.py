"""``results.json`` as tables, for the terminal and as Markdown. Accuracies in percent, with one decimal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "COLUMNS",
    "SHORT_COLUMNS",
    "command_block",
    "diagnosis_table",
    "markdown",
    "markdown_table",
    "novelty_sentence",
    "plain_line",
    "setup_lines",
    "short_tables",
    "table",
    "with_half",
]

COLUMNS = (
    "split",
    "classes",
    "method",
    "tasks",
    "accuracy %",
    "std",
    "95 % interval",
    "vs selection",
    "s/model",
    "parameters",
    "memory MB",
)


SHORT_COLUMNS = ("method", "tasks", "accuracy %", "vs selection", "s/model", "parameters", "MB")
"""Columns for a terminal 80 characters wide. ± is half of the 95 % interval."""


def table(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one line for each row, under `COLUMNS`. Accuracies are in percent, differences in percentage points."""
    differences = _against(summary, "selection")
    lines = []
    for row in summary["rows"]:
        accuracy = row["accuracy"]
        lines.append(
            {
                "split": row["split"],
                "classes": str(row.get("num_classes", "all")),
                "method": row["method"],
                "tasks": row["num_tasks"],
                "accuracy %": f"{100 * accuracy['mean']:.1f}",
                "std": None if accuracy["std"] is None else f"{100 * accuracy['std']:.1f}",
                "95 % interval": _interval(accuracy["ci95"], ".1f"),
                "vs selection": _difference(differences.get(_key(row))),
                "s/model": _seconds(row["seconds_per_model"]),
                "parameters": None if row["parameters"] is None else f"{row['parameters']:,}",
                "memory MB": _megabytes(row),
            }
        )
    return lines


def short_tables(summary: Mapping[str, Any], reference: str = "selection") -> list[tuple[str, list[dict[str, Any]]]]:
    """Return (title, lines under `SHORT_COLUMNS`) for each split and class count.

    Args:
        summary: the contents of ``results.json``.
        reference: the method that differences are taken from.
    """
    differences = _against(summary, reference)
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in summary["rows"]:
        count = row.get("num_classes")
        title = f"{row['split']}, {'all class counts' if count is None else f'{count} classes'}"
        difference = differences.get(_key(row))
        tables.setdefault(title, []).append(
            {
                "method": row["method"],
                "tasks": row["num_tasks"],
                "accuracy %": with_half(row["accuracy"], ".1f"),
                f"vs {reference}": None if difference is None else with_half(difference, "+.2f"),
                "s/model": _seconds(row["seconds_per_model"]),
                "parameters": None if row["parameters"] is None else f"{row['parameters']:,}",
                "MB": _megabytes(row),
            }
        )
    return list(tables.items())


def with_half(statistics: Mapping[str, Any], form: str) -> str:
    """Return a mean in percent and half of its 95 % interval: ``70.6 ± 0.7``."""
    mean, ends = 100 * statistics["mean"], statistics["ci95"]
    return f"{mean:{form}}" + ("" if ends is None else f" ± {50 * (ends[1] - ends[0]):{form.lstrip('+')}}")


def _against(summary: Mapping[str, Any], reference: str) -> dict[tuple[str, str, int | None], Any]:
    return {_key(entry): entry["difference"] for entry in summary["paired"] if entry["against"] == reference}


def _key(entry: Mapping[str, Any]) -> tuple[str, str, int | None]:
    return entry["method"], entry["split"], entry.get("num_classes")


def _interval(ends: Sequence[float] | None, form: str) -> str | None:
    return None if ends is None else f"{100 * ends[0]:{form}} to {100 * ends[1]:{form}}"


def _difference(difference: Mapping[str, Any] | None) -> str | None:
    if difference is None:
        return None
    interval = _interval(difference["ci95"], "+.2f")
    return f"{100 * difference['mean']:+.2f}" + (f" ({interval})" if interval else "")


def _seconds(seconds: float) -> str:
    if seconds >= 10:
        return f"{seconds:.0f}"
    return f"{seconds:.2g}" if seconds >= 0.001 else "<0.001"


def _megabytes(row: Mapping[str, Any]) -> str | None:
    """Return the peak memory in millions of bytes; None in results of versions that did not measure it."""
    peak = row.get("peak_memory")
    return None if peak is None else f"{peak / 1e6:.0f}"


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the contents of ``results.md``."""
    setup = summary["setup"]
    lines = [f"# Evaluation of {setup['model']['name']}", "", *markdown_table(table(summary), COLUMNS), ""]
    lines += [
        "Accuracy in percent, of networks in float32 on the images of their own classes: mean, standard deviation and 95 % t",
        "interval over tasks. *selection* is the generic model with only the task's outputs; *vs selection* is the paired",
        "difference from it in percentage points, with its 95 % interval. *memory* is the peak while networks were made,",
        "above what was in use before, in millions of bytes.",
        "",
    ]
    others = [entry for entry in summary["paired"] if entry["against"] != "selection"]
    if others:
        columns = ("split", "classes", "method", "against", "tasks", "difference")
        rows = [
            {
                "split": e["split"],
                "classes": str(e.get("num_classes", "all")),
                "method": e["method"],
                "against": e["against"],
                "tasks": e["num_tasks"],
                "difference": _difference(e["difference"]),
            }
            for e in others
        ]
        lines += ["## Against other bases", "", *markdown_table(rows, columns), ""]
    if "novelty" in summary:
        lines += ["## Novelty", "", *_novelty(summary["novelty"]), ""]
    if summary["skipped"]:
        lines += ["## Not run", ""]
        lines += [f"- {_where(entry)}: {plain_line(entry['reason'])}" for entry in summary["skipped"]]
        lines.append("")
    lines += ["## Methods", "", *(f"- `{name}`: {plain_line(text)}" for name, text in setup["methods"].items()), ""]
    if setup.get("warnings"):
        lines += ["## Warnings", "", *(f"- {plain_line(text)}" for text in setup["warnings"]), ""]
    lines += ["## Setup", "", *setup_lines(setup)]
    return "\n".join(lines) + "\n"


def novelty_sentence(novelty: Mapping[str, Any]) -> str:
    """Return the verdict on novelty, or the reason why there is none."""
    return str(novelty["verdict"]) if "verdict" in novelty else f"Novelty was not measured: {novelty['reason']}."


def _novelty(novelty: Mapping[str, Any]) -> list[str]:
    lines = [plain_line(novelty_sentence(novelty))]
    if "verdict" not in novelty:
        return lines
    rows = [
        ("generated network to the nearest p-Model, median", f"{novelty['to_nearest']:.2f}"),
        ("p-Model to the nearest other p-Model, median", f"{novelty['between_models']:.2f}"),
        ("generated network to the base, median", f"{novelty['to_base']:.2f}"),
        ("between networks generated for two tasks, mean", f"{novelty['over_tasks']:.2f}"),
        ("between two p-Models, mean", f"{novelty['models_over_tasks']:.2f}"),
        ("between seeds, same task, mean", f"{novelty['over_seeds']:.3f}"),
    ]
    for name, text in (("nearest", "the most similar task's p-Model"), ("selection", "selection")):
        value = novelty[f"errors_{name}"]
        rows.append((f"mistakes shared with {text}, intersection over union", "–" if value is None else f"{value:.2f}"))
    table = [f"| {what} | {value} |" for what, value in rows]
    note = (
        f"{novelty['tasks']} tasks, {novelty['models']} p-Models. Distances are over the tensors that all classes share. "
        "Their unit is the distance of the p-Models from the base, the network that generation starts from."
    )
    return [*lines, "", "| what | |", "|---|---|", *table, "", note]


def diagnosis_table(diagnosis: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one line for each stage. Accuracies are in percent, differences from the p-Models in percentage points."""
    return [
        {
            "stage": row["stage"],
            "accuracy %": with_half(row["accuracy"], ".1f"),
            "vs p-model": with_half(row["minus_p_model"], "+.2f") if "minus_p_model" in row else None,
        }
        for row in diagnosis["stages"]
    ]


def _where(entry: Mapping[str, Any]) -> str:
    return f"`{entry['method']}`" + (f" on {entry['split']}" if "split" in entry else "")


def setup_lines(setup: Mapping[str, Any]) -> list[str]:
    """Return a Markdown list of what was measured, with what and where."""
    machine, relabelled = setup["machine"], setup["relabelled_tasks"]
    accelerator = f", {machine['accelerator']}" if machine["accelerator"] else ""
    return [
        f"- Command: `{setup['command']}`",
        f"- Model: {setup['model']['name']}, configuration sha256 `{setup['model']['config_sha256']}`",
        f"- Data set: {setup['dataset']}, {setup['image_split']} images",
        f"- Encoder: {setup['encoder']['name']} ({setup['encoder']['space']}), template {setup['encoder']['template']!r}",
        f"- Seed: {setup['seed']}",
        f"- Tasks relabelled because training could have seen them: {relabelled}",
        f"- Program: tina-framework {setup['version']}, torch {machine['torch']}, Python {machine['python']}",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads{accelerator}",
        f"- Date: {setup['date']}",
    ]


def command_block(command: str, width: int = 110) -> str:
    """Return a command line as a fenced block of Markdown, with line breaks before options."""
    first, *options = re.split(r" (?=--)", command)
    lines = [first]
    for option in options:
        if len(f"{lines[-1]} {option}") > width:
            lines.append(f"    {option}")
        else:
            lines[-1] += f" {option}"
    return "```console\n" + " \\\n".join(lines) + "\n```"


def plain_line(value: Any) -> str:
    """Return text from users or models in one line of Markdown, without line breaks and cell borders."""
    return " ".join(str(value).split()).replace("|", "\\|")


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table in Markdown. None is shown as a dash."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join("–" if row[c] is None else plain_line(row[c]) for c in columns) + " |")
    return lines
