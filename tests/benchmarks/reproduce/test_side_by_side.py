"""The comparison of two commits: the table, and what it measures."""

import json
import subprocess
import sys

import pytest

from benchmarks.reproduce.side_by_side import FIGURES, table
from benchmarks.script import REPOSITORY


def test_the_table_gives_medians_and_the_range_of_the_ratio():
    rounds = [{"a step": (2.0, 1.0)}, {"a step": (9.0, 3.0)}, {"a step": (4.0, 4.0)}]
    assert table(rounds).splitlines()[2] == "| a step | 4.0000 | 3.0000 | 2.00 | 1.00 to 3.00 |"


def test_each_figure_comes_from_a_script_that_exists():
    for script, _ in FIGURES.values():
        assert (REPOSITORY / "benchmarks" / "reproduce" / f"{script}.py").is_file()


@pytest.mark.slow
def test_the_speed_of_training_is_measured(cifar100_path):
    words = ["-m", "benchmarks.reproduce.training_speed", "--dataset", f"arrays:{cifar100_path}", "--steps", "2"]
    done = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    for name, (script, place) in FIGURES.items():
        if script == "training_speed":
            value = report
            for key in place:
                value = value[key]
            assert value > 0, name
