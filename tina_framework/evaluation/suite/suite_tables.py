"""Writing ``prompts.json``, and its tables in Markdown and for the terminal.

Accuracies in percent, differences in points.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.evaluation.result_tables import command_block
from tina_framework.storage.files import replacing, to_json

__all__ = ["FILES", "check_output", "markdown", "short_rows", "write_suite"]

FILES = ("prompts.json", "prompts.md")


def check_output(folder: Path) -> None:
    """Refuse an output folder that cannot take the files, before the work begins.

    Raises:
        ConfigError: the path is a file.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not existing.is_dir():
        raise ConfigError(f"'{existing}' exists and is not a folder; choose another place with --out.")


def write_suite(folder: Path, result: Mapping[str, Any]) -> None:
    """Write both files, or neither of them.

    Raises:
        ConfigError: the folder cannot be written.
    """
    text = to_json(result)
    try:
        with contextlib.ExitStack() as stack:
            for name, content in zip(FILES, (text, markdown(result)), strict=True):
                stack.enter_context(replacing(folder / name)).write_text(
                    content, encoding="utf-8", errors="backslashreplace"
                )
    except OSError as error:
        raise ConfigError(
            f"The results cannot be written to '{folder}' ({error.strerror or error}); choose another place."
        ) from error


def short_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each variant of prompts, for the terminal."""
    return [
        {
            "prompts": row["variant"],
            "tasks": row["num_tasks"],
            "accuracy %": f"{100 * row['accuracy']['mean']:.1f}",
            "minus names": "" if i == 0 else _around(row["minus_names"]),
            "of names": f"{100 * row['of_names']:.0f} %",
        }
        for i, row in enumerate(result["variants"])
    ]


def markdown(result: Mapping[str, Any]) -> str:
    """Return all tables of the suite as Markdown."""
    setup, order = result["setup"], result["order"]
    parts = [
        _table(
            ("prompts", "tasks", "accuracy %, 95 % interval", "minus names, paired", "of names' accuracy"),
            [
                (
                    row["variant"],
                    row["num_tasks"],
                    _interval(row["accuracy"]),
                    "" if i == 0 else _interval(row["minus_names"], "+"),
                    f"{100 * row['of_names']:.0f} %",
                )
                for i, row in enumerate(result["variants"])
            ],
        ),
        f"With the classes in another order ({order['variant']}, {order['num_tasks']} tasks), "
        f"{100 * order['same_answers']:.2f} % of the answers are the same.\n"
        f"Parameters differ by at most {order['greatest_difference']:.1e}.",
        _table(
            ("classes", "tasks", "accuracy %, 95 % interval", "`selection`", "minus `selection`, paired"),
            [
                (f"{row['num_classes']}{label}", row["num_tasks"], _interval(row["accuracy"]), *_selection(row))
                for label, row in _counted(result)
            ],
        ),
    ]
    if "familiarity" in result:
        parts += _familiarity(result["familiarity"])
    parts.append(command_block(setup["command"]))
    return "\n\n".join(parts) + "\n"


def _counted(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = [("", row) for row in result["class_counts"]]
    similar = result.get("similar_classes")
    return [*rows, (", three of one superclass", similar)] if similar else rows


def _selection(row: Mapping[str, Any]) -> tuple[str, str]:
    if "selection" not in row:
        return "", ""
    return f"{100 * row['selection']['mean']:.2f}", _interval(row["minus_selection"], "+")


def _familiarity(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    numbers = [entry["strange_classes"] for entry in rows[0]["by_strange_classes"]]
    first = _table(
        ("prompts", "known classes", "unseen classes", "AUROC", "Spearman with accuracy"),
        [
            (
                row["variant"],
                f"{row['known']['mean']:.2f}",
                f"{row['strange']['mean']:.2f}",
                f"{row['auroc']:.3f}",
                "" if row["spearman"] is None else f"{row['spearman']:.2f}",
            )
            for row in rows
        ],
    )
    second = _table(
        ("mean familiarity / accuracy %", *(f"{n} unseen" for n in numbers)),
        [
            (
                row["variant"],
                *(f"{e['familiarity']:.2f} / {100 * e['accuracy']['mean']:.1f}" for e in row["by_strange_classes"]),
            )
            for row in rows
        ],
    )
    return [first, second]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def _interval(values: Mapping[str, Any], sign: str = "") -> str:
    form = f"{sign}.2f"
    text = f"{100 * values['mean']:{form}}"
    if values["ci95"] is None:
        return text
    low, high = (100 * end for end in values["ci95"])
    return f"{text} ({low:{form}} to {high:{form}})"


def _around(values: Mapping[str, Any]) -> str:
    if values["ci95"] is None:
        return f"{100 * values['mean']:+.1f}"
    return f"{100 * values['mean']:+.1f} ± {50 * (values['ci95'][1] - values['ci95'][0]):.1f}"
