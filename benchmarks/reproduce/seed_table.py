"""Compare the training seeds that `seeds.sh` measured: the gain of each, their mean and their range.

    python -m benchmarks.reproduce.seed_table [outputs/seeds]

The folder has a folder KIND-SEED for each training, as `tina evaluate` writes it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.script import run
from tina_framework.errors import DataError

__all__ = ["main", "table"]

METHODS = ("tina", "common")


def gains(folder: Path) -> dict[str, float]:
    """Return method -> points over `selection` in one evaluation.

    Raises:
        DataError: the folder has no results, or a method is missing.
    """
    path = folder / "results.json"
    if not path.is_file():
        raise DataError(f"'{path}' is missing; run seeds.sh until it ends.")
    paired = json.loads(path.read_text(encoding="utf-8"))["paired"]
    found = {p["method"]: 100 * p["difference"]["mean"] for p in paired if p["against"] == "selection"}
    if missing := [method for method in METHODS if method not in found]:
        raise DataError(f"'{path}' has no row '{missing[0]}'; run seeds.sh again.")
    return {method: found[method] for method in METHODS}


def table(root: Path) -> list[str]:
    """Return the lines of a Markdown table with a row for each kind of training and method.

    Raises:
        DataError: there is no folder KIND-SEED.
    """
    kinds: dict[str, dict[int, dict[str, float]]] = {}
    for folder in sorted(root.glob("*-*")):
        kind, _, seed = folder.name.rpartition("-")
        if folder.is_dir() and seed.isdigit():
            kinds.setdefault(kind, {})[int(seed)] = gains(folder)
    if not kinds:
        raise DataError(f"'{root}' has no folder such as tina-0; run seeds.sh first.")
    lines = ["| trained | method | by seed | mean | range |", "|---|---|---|---|---|"]
    for kind, seeds in sorted(kinds.items(), reverse=True):
        for method in METHODS:
            values = [seeds[seed][method] for seed in sorted(seeds)]
            each = ", ".join(f"{seed}: {value:+.2f}" for seed, value in zip(sorted(seeds), values, strict=True))
            spread = max(values) - min(values)
            lines.append(f"| {kind} | `{method}` | {each} | {statistics.mean(values):+.2f} | {spread:.2f} |")
    return lines


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=Path("outputs/seeds"))
    print("\n".join(table(parser.parse_args(words).results)))


if __name__ == "__main__":
    run(main)
