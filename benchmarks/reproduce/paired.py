"""Compare two methods task by task, also of two evaluations: the mean difference in points, with its 95 % interval.

    python -m benchmarks.reproduce.paired outputs/seeds/regressor-0 tina outputs/seeds/tina-0 tina

Both folders are those of `tina evaluate`, on the same tasks in the same order.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.script import run
from tina_framework.errors import DataError
from tina_framework.evaluation.statistics import Summary, paired

__all__ = ["difference", "main"]


def accuracies(folder: Path, method: str) -> dict[tuple[str, ...], float]:
    """Return the classes of each task -> accuracy of a method in percent.

    Raises:
        DataError: the folder has no results, or the method was not measured on all tasks.
    """
    path = folder / "tasks.json"
    if not path.is_file():
        raise DataError(f"'{path}' is missing; give a folder that tina evaluate wrote.")
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    if any(task["accuracy"].get(method) is None for task in tasks):
        raise DataError(f"'{path}' has no accuracy of '{method}' for some tasks; choose another method.")
    return {tuple(task["classes"]): 100 * task["accuracy"][method] for task in tasks}


def difference(folder: Path, method: str, other_folder: Path, other_method: str) -> Summary:
    """Return the accuracies of the first method minus those of the second, in points.

    Raises:
        DataError: something was not measured, or the tasks differ.
    """
    ours, theirs = accuracies(folder, method), accuracies(other_folder, other_method)
    if list(ours) != list(theirs):
        raise DataError(f"'{folder}' and '{other_folder}' have different tasks; evaluate both on one task file.")
    return paired(list(ours.values()), list(theirs.values()))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("folder", "method", "other_folder", "other_method"):
        parser.add_argument(name, type=Path if "folder" in name else str)
    given = parser.parse_args(words)
    found = difference(given.folder, given.method, given.other_folder, given.other_method)
    interval = "" if found.ci95 is None else f" ({found.ci95[0]:+.2f} to {found.ci95[1]:+.2f})"
    print(f"{found.mean:+.2f}{interval} points on {found.n} tasks")


if __name__ == "__main__":
    run(main)
