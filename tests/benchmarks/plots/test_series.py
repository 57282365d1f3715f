"""Each picture gets the right rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.plots import series
from benchmarks.plots.reading import find_results

SPLIT = "unseen-combination"


def test_steps_come_from_what_ran(write: Any, tmp_path: Path) -> None:
    write("a", {"tina": 0.02, "tina@1": 0.01}, methods={"tina": "ddim, 4 steps", "tina@1": "ddim, 1 step"})
    write("b", {"tina@ddpm:50": 0.03, "common": 0.5}, methods={"tina@ddpm:50": "ddpm, 50 steps"})
    write("c", {"tina": 0.9}, methods={"tina": "ddim, 4 steps"}, tasks=3)
    write("d", {"tina": 0.9}, methods={"tina": "ddim, 8 steps"}, count=5)
    found = series.by_steps(find_results(tmp_path / "results"), SPLIT, 10)
    assert {name: [(p.x, p.mean) for p in points] for name, points in found.items()} == {
        "ddim": [(1, 0.01), (4, 0.02)],
        "ddpm": [(50, 0.03)],
    }


def test_class_counts_need_two(write: Any, tmp_path: Path) -> None:
    write("a", {"tina": 0.02, "common": 0.001, "nearest": -0.1})
    write("b", {"tina": 0.03, "tina@1": 0.03, "nearest": -0.1}, count=5)
    found = series.by_class_count(find_results(tmp_path / "results"), SPLIT)
    assert {name: [(p.x, p.mean) for p in points] for name, points in found.items()} == {
        "tina": [(5, 0.03), (10, 0.02)]
    }


def test_costs_take_most_tasks_then_the_fastest(write: Any, tmp_path: Path) -> None:
    write("a", {"tina": 0.02}, seconds={"tina": 0.5})
    write("b", {"tina": 0.02}, seconds={"tina": 0.1, "selection": 0.001})
    write("c", {"tina": 0.9}, seconds={"tina": 0.01}, tasks=5)
    costs, accuracy = series.costs(find_results(tmp_path / "results"), SPLIT, 10)
    assert [(c.method, c.seconds, c.gain.mean, c.num_tasks) for c in costs] == [
        ("selection", 0.001, 0.0, 100),
        ("tina", 0.1, 0.02, 100),
    ]
    assert accuracy == 0.6


def test_pairs_are_of_tasks_that_have_both(write: Any, tmp_path: Path) -> None:
    write("a", {"tina": 0.02, "fine-tune": 0.04}, fine_tuned=20)
    write("b", {"tina": 0.02, "fine-tune": 0.04}, fine_tuned=5)
    (found,) = series.task_pairs(find_results(tmp_path / "results"), SPLIT, 10)
    assert found.other == "fine-tune"
    assert found.x == pytest.approx([0.04] * 20)
    assert found.y == pytest.approx([0.02] * 20)
