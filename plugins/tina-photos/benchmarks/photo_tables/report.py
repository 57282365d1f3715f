"""Write the measured tables as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["markdown"]

Entry = Mapping[str, Any]


def _half(entry: Entry) -> float | None:
    return None if entry["ci95"] is None else (entry["ci95"][1] - entry["ci95"][0]) / 2


def _number(entry: Entry | None, *, signed: bool = False) -> str:
    if entry is None:
        return ""
    half = _half(entry)
    return f"{entry['mean']:{'+' if signed else ''}.1f}" + ("" if half is None else f" ± {half:.1f}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def accuracy_table(table: Mapping[str, Any]) -> str:
    """One row for each method; for each group of classes its accuracy, and how much tina is above it on the same tasks."""
    groups = table["groups"]
    methods = list(dict.fromkeys(method for group in groups.values() for method in group["methods"]))
    head = ["method"]
    for name, group in groups.items():
        head += [f"{name} ({group['num_classes']} classes, {group['num_tasks']} tasks)", "tina minus it"]
    rows = []
    for method in methods:
        cells = [f"**{method}**" if method == table["reference"] else method]
        for group in groups.values():
            entry = group["methods"].get(method)
            cells += [_number(entry), "" if entry is None else _number(entry["difference"], signed=True)]
        rows.append(cells)
    return _table(head, rows)


def overview(tables: Sequence[Entry], part: str, size: int) -> str:
    """Return all accuracies of one part: a row for each method, and a column for each kind of prompts and group of classes."""
    columns: dict[str, Entry] = {}
    for table in tables:
        if table.get("part") == part and table.get("size") == size:
            columns |= {f"{table['prompts']}: {name}": group for name, group in table["groups"].items()}
    # Names of methods that hold counts differ between kinds of prompts, and have a row each.
    methods = list(dict.fromkeys(method for group in columns.values() for method in group["methods"]))
    head = ["method", *(f"{name} ({group['num_classes']})" for name, group in columns.items())]
    rows = [[method, *(_number(group["methods"].get(method)) for group in columns.values())] for method in methods]
    return _table(head, rows)


def abstaining_table(rows: Sequence[Entry]) -> str:
    """One row for each class count."""
    cells = [
        [
            str(row["num_classes"]),
            str(row["num_tasks"]),
            f"{row['threshold']:.2f}",
            f"{100 * row['accuracy']:.1f}",
            f"{100 * row['kept']:.1f}",
            f"{100 * row['refused']['mean']:.1f}",
            f"{row['auroc']:.3f}",
        ]
        for row in rows
    ]
    return _table(["classes", "tasks", "threshold", "accuracy %", "kept of it %", "refused %", "AUROC"], cells)


def _kinds(end: str) -> list[str]:
    return [f"{kind}_{end}" for kind in ("wall", "fastest_wall", "cpu", "fastest_cpu")]


def speed_table(speed: Mapping[str, Any]) -> str:
    """Times and sizes."""
    names = {
        "generate_warm": "generate ten classes of new words, model loaded",
        "generate_warm_again": "the same, words that were read before",
        "generate_cold_command": "`tina generate`, ten classes, whole command",
    }
    rows = [[name, *(f"{speed[key][kind]:.3f} s" for kind in _kinds("s"))] for key, name in names.items()]
    rows += [
        [f"classify at {size} px, one core, one photograph", *(f"{ms[kind]:.1f} ms" for kind in _kinds("ms"))]
        for size, ms in speed["classify_ms_per_photograph"].items()
    ]
    table = _table(["what", "wall time, median", "fastest", "CPU time, median", "fastest"], rows)
    size = speed["saved_with_trunk_float16_bytes"] / 1e6
    return (
        f"{table}\n\nSaved with the frozen network in half precision: {size:.1f} MB. "
        f"Threads: {speed['threads']}. Load when this began: {speed['load']:.1f}."
    )


def markdown(results: Mapping[str, Any]) -> str:
    """Return all tables with the command, seed, machine and date."""
    parts = ["# Photographs", "Accuracy in percent, ± half of the 95 % interval over tasks. Differences are paired."]
    for part, size in dict.fromkeys((t["part"], t["size"]) for t in results["tables"] if "part" in t):
        parts += [f"## Overview: {part}, {size} px", overview(results["tables"], part, size)]
    for table in results["tables"]:
        parts += [f"## {table['title']}", accuracy_table(table)]
    for title, rows in results["abstaining"].items():
        parts += [f"## None of these: {title}", abstaining_table(rows)]
    if results["speed"] is not None:
        parts += ["## Speed and size", speed_table(results["speed"])]
    if results["warnings"]:
        parts += ["## Warnings", "\n".join(f"- {sentence}" for sentence in results["warnings"])]
    machine = results["machine"]
    parts.append(f"`{results['command']}` (seed {results['seed']}, {machine['processor']}, {results['date'][:10]})")
    return "\n\n".join(parts) + "\n"
