"""Two evaluations are compared task by task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reproduce.paired import difference
from tina_framework.errors import DataError


def folder(place: Path, accuracies: dict[str, list[float | None]], first: str = "a") -> Path:
    place.mkdir()
    count = len(next(iter(accuracies.values())))
    tasks = [
        {"classes": [first, f"b{i}"], "accuracy": {name: values[i] for name, values in accuracies.items()}}
        for i in range(count)
    ]
    (place / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    return place


def test_the_difference_is_taken_task_by_task(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"x": [0.5, 0.7, 0.9]})
    two = folder(tmp_path / "two", {"y": [0.4, 0.5, 0.6]})
    found = difference(one, "x", two, "y")
    assert found.n == 3
    assert found.mean == pytest.approx(20)
    assert found.ci95 is not None
    assert found.ci95[0] == pytest.approx(20 - 4.3027 * 10 / 3**0.5, abs=1e-3)


def test_other_tasks_and_missing_results_are_refused(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"x": [0.5, 0.7], "z": [0.5, None]})
    with pytest.raises(DataError, match="have different tasks"):
        difference(one, "x", folder(tmp_path / "two", {"x": [0.5, 0.7]}, first="c"), "x")
    for method in ("y", "z"):
        with pytest.raises(DataError, match=f"no accuracy of '{method}'"):
            difference(one, method, one, "x")
    with pytest.raises(DataError, match="is missing"):
        difference(tmp_path, "x", one, "x")
