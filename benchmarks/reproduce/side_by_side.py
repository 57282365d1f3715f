"""Compare the speed of this checkout with that of another commit, in turns, so that both meet the same machine.

    python -m benchmarks.reproduce.side_by_side COMMIT --dataset arrays:cifar100.npz [--rounds 5]

Every round runs `training_speed` and `timing` once on each commit, each in a process of its own. COMMIT is checked out into a
temporary folder. Prints a table: the median over the rounds of each commit, and the median over the rounds of the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.script import REPOSITORY, run
from tina_framework.errors import ConfigError

FIGURES = {
    "training, seconds a step": ("training_speed", ("seconds_a_step", "median")),
    "one model, names read before, seconds": ("timing", ("one_model_seconds", "wall", "median")),
    "one model, new names, seconds": ("timing", ("one_model_of_new_names_seconds", "wall", "median")),
    "batch of 64, seconds a model": ("timing", ("batch_of_64_seconds_each", "wall", "median")),
}
"""Row of the table -> script and place of the figure in its output."""


def measure(tree: Path, script: str, words: list[str]) -> Any:
    """Run a script of this checkout on the package of a checkout, and return what it printed."""
    # The package comes from `tree`, and the scripts from this checkout: the other commit has scripts of the same names.
    program = (
        f"import runpy, sys; import tina_framework; sys.path.insert(0, {str(REPOSITORY)!r});"
        f"runpy.run_module('benchmarks.reproduce.{script}', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise ConfigError(f"{script} failed on '{tree}': {last[0]}")
    return json.loads(done.stdout)


def table(rounds: list[dict[str, tuple[float, float]]]) -> str:
    """Return Markdown: for each figure the medians over the rounds, and the median ratio with its range."""
    lines = ["| figure | other commit | this one | ratio | range of the ratio |", "|---|---|---|---|---|"]
    for name in rounds[0]:
        before, after = zip(*(each[name] for each in rounds), strict=True)
        ratios = sorted(b / a for b, a in zip(before, after, strict=True))
        lines.append(
            f"| {name} | {statistics.median(before):.4f} | {statistics.median(after):.4f} | "
            f"{statistics.median(ratios):.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f} |"
        )
    return "\n".join(lines)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(words)
    of_script = {
        "training_speed": ["--dataset", arguments.dataset, "--steps", str(arguments.steps)],
        "timing": ["--repeats", str(arguments.repeats)],
    }
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        added = subprocess.run([*git, "add", "--detach", str(other), arguments.commit], capture_output=True, text=True)
        if added.returncode:
            raise ConfigError(f"'{arguments.commit}' cannot be checked out: {added.stderr.strip()}")
        try:
            rounds = []
            for number in range(arguments.rounds):
                found = {}
                for script, options in of_script.items():
                    options = [*options, "--threads", str(arguments.threads)]
                    # The order alternates, so that a machine that slows down favours neither.
                    trees = [other, REPOSITORY] if number % 2 == 0 else [REPOSITORY, other]
                    found[script] = {tree: measure(tree, script, options) for tree in trees}
                rounds.append(
                    {
                        name: (_at(found[script][other], place), _at(found[script][REPOSITORY], place))
                        for name, (script, place) in FIGURES.items()
                    }
                )
                print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], capture_output=True)
    print(table(rounds))


def _at(values: Any, place: tuple[str, ...]) -> float:
    for key in place:
        values = values[key]
    return float(values)


if __name__ == "__main__":
    run(main)
