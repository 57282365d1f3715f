"""The tables of docs/results.md, as Markdown, from the folders that benchmarks/cifar100.sh writes.

    python benchmarks/tables.py [outputs/results]

Prints one table a folder: accuracy with its 95 % interval, the paired difference from selection, seconds a model alone,
and the command that made it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def table(results: dict[str, Any]) -> list[str]:
    """One Markdown table, its command below it."""
    against = {
        (row["method"], row["split"], row.get("num_classes")): row["difference"]
        for row in results["paired"]
        if row["against"] == "selection"
    }
    lines = [
        "| method | accuracy %, 95 % interval | minus `selection`, paired | s / model, alone |",
        "|---|---|---|---|",
    ]
    counts = {row["num_classes"] for row in results["rows"] if "num_classes" in row}
    for row in results["rows"]:
        if "num_classes" not in row:
            continue
        of = f", {row['num_classes']} classes" if len(counts) > 1 else ""
        accuracy = row["accuracy"]
        low, high = (100 * value for value in accuracy["ci95"])
        difference = against.get((row["method"], row["split"], row["num_classes"]))
        gain = ""
        if difference is not None:
            a, b = (100 * value for value in difference["ci95"])
            gain = f"{100 * difference['mean']:+.2f} ({a:+.2f} to {b:+.2f})"
        seconds = f"{row['seconds_per_model']:.3f}"
        lines.append(
            f"| `{row['method']}`{of} | {100 * accuracy['mean']:.2f} ({low:.2f} to {high:.2f}) | {gain} | {seconds} |"
        )
    return [*lines, "", f"`{results['setup']['command']}`"]


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/results")
    for path in sorted(root.glob("*/results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        print(f"### {path.parent.name} ({results['setup']['date'][:10]})\n")
        print("\n".join(table(results)) + "\n")


if __name__ == "__main__":
    main()
