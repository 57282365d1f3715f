"""Accuracy against the number of steps, as Markdown, from the folder that `steps.sh` has `tina evaluate` write.

    python benchmarks/steps.py FOLDER

Prints two tables, schedulers by steps: the mean accuracy in percent, and its difference from `ddim` with as many steps, paired
task by task, in percentage points with its standard error.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path


def read(folder: Path) -> dict[tuple[str, int], list[float]]:
    """(scheduler, steps) -> the accuracy on each task, in percent."""
    found: dict[tuple[str, int], list[float]] = {}
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8"))["tasks"]:
        for method, accuracy in task["accuracy"].items():
            name, _, steps = method.removeprefix("tina@").rpartition(":")
            if method.startswith("tina@"):
                found.setdefault((name, int(steps)), []).append(100 * accuracy)
    return found


def table(title: str, rows: dict[str, list[str]], steps: list[int]) -> list[str]:
    """One Markdown table."""
    lines = [f"| {title} | " + " | ".join(map(str, steps)) + " |", "|---|" + "---|" * len(steps)]
    return [*lines, *(f"| `{name}` | " + " | ".join(cells) + " |" for name, cells in rows.items())]


def difference(ours: list[float], base: list[float]) -> str:
    """Mean and standard error of the paired difference."""
    apart = [a - b for a, b in zip(ours, base, strict=True)]
    return f"{statistics.mean(apart):+.2f} ± {statistics.stdev(apart) / math.sqrt(len(apart)):.2f}"


def main() -> None:
    found = read(Path(sys.argv[1]))
    names = list(dict.fromkeys(name for name, _ in found))
    steps = sorted({number for _, number in found})
    means = {name: [f"{statistics.mean(found[name, s]):.2f}" for s in steps] for name in names}
    print("\n".join(table("accuracy %", means, steps)) + "\n")
    apart = {name: [difference(found[name, s], found["ddim", s]) for s in steps] for name in names if name != "ddim"}
    print("\n".join(table("minus `ddim`", apart, steps)))


if __name__ == "__main__":
    main()
