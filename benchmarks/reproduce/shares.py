"""Print what share of the gain of fine-tuning a generator has, on the tasks that both were measured on.

    python -m benchmarks.reproduce.shares [outputs/results/fine-tune] [--method tina]

The share is the mean gain of the generator over `selection`, divided by that of fine-tuning. Its interval is a percentile
bootstrap over tasks (2,000 draws, seed 0).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plots.pairs import ratio
from benchmarks.plots.reading import find_results
from benchmarks.plots.series import Pairs, task_pairs
from benchmarks.script import run
from tina_framework.errors import DataError

__all__ = ["main", "table"]


def table(found: Sequence[Pairs]) -> list[str]:
    """Return the lines of a Markdown table with a row for each kind of fine-tuning."""
    lines = [
        "| fine-tuning | tasks | its gain | gain of the generator | share, 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for pairs in found:
        share = ratio(pairs)
        text = (
            "none: fine-tuning does not gain" if share is None else f"{share[0]:.2f} ({share[1]:.2f} to {share[2]:.2f})"
        )
        theirs, ours = (f"{100 * statistics.mean(gains):+.2f}" for gains in (pairs.x, pairs.y))
        lines.append(f"| `{pairs.other}` | {len(pairs.x)} | {theirs} | {ours} | {text} |")
    return lines


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=Path("outputs/results/fine-tune"))
    parser.add_argument("--method", default="tina", help="the generator's row (default: %(default)s)")
    parser.add_argument("--split", default="unseen-combination", help="which tasks (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=10, help="their class count (default: %(default)s)")
    options = parser.parse_args(words)
    mine = [results for results in find_results(options.results.parent) if results.folder == options.results]
    found = task_pairs(mine, options.split, options.classes, options.method)
    if not found:
        raise DataError(
            f"'{options.results}' has no tasks with selection, {options.method} and fine-tune; evaluate these methods first."
        )
    print("\n".join(table(found)))


if __name__ == "__main__":
    run(main)
