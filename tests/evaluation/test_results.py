"""Rows against hand-computed values, and files that are whole or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import ConfigError
from tina_framework.evaluation.harness import MethodResult, TaskResult, Timing
from tina_framework.evaluation.results import assemble, check_output, write_results
from tina_framework.zoo.tasks import Task, load_tasks

SETUP: dict[str, Any] = {
    "command": "tina evaluate --model m",
    "model": {"name": "m", "config_sha256": "0" * 64},
    "dataset": "arrays:toys.npz",
    "image_split": "test",
    "encoder": {"name": "toy", "space": "toy-space", "template": 0},
    "seed": 0,
    "relabelled_tasks": 1,
    "warnings": ["beware"],
    "version": "1.2.3",
    "machine": {"processor": "p", "cores": 2, "threads": 2, "accelerator": None, "torch": "2", "python": "3"},
    "date": "2025-01-01T00:00:00+00:00",
}


AB, CD, ABC, SEEN = (
    Task(("a", "b"), "unseen-combination"),
    Task(("c", "d"), "unseen-combination"),
    Task(("a", "b", "c"), "unseen-combination"),
    Task(("a", "d"), "seen"),
)


TASKS = [AB, ABC, CD, SEEN]


def result(label: str, accuracies: list[float | None], **more: Any) -> MethodResult:
    """`parameters` is the task's class count times ten."""
    found = [
        None if value is None else TaskResult(value, 10 * len(task.classes))
        for value, task in zip(accuracies, TASKS, strict=True)
    ]
    timings = {
        ("unseen-combination", 2): Timing(0.2, 0.02),
        ("unseen-combination", 3): Timing(0.5, 0.05),
        ("seen", 2): Timing(1.0),
    }
    memory = {("unseen-combination", 2): 2_000_000, ("unseen-combination", 3): 12_400_000}
    return MethodResult(label, f"about {label}", found, timings, memory, **more)


@pytest.fixture
def summary() -> dict[str, Any]:
    results = [
        result("tina", [0.7, 0.6, 0.9, None], skipped=[("seen", "1 of 1 tasks left out")]),
        result("selection", [0.6, 0.6, 0.7, 0.4]),
        result("selection@other", [0.5, 0.6, 0.7, 0.4]),
    ]
    return assemble(TASKS, results, SETUP).summary


def pick(entries: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (entry,) = [e for e in entries if all(e.get(key) == value for key, value in wanted.items())]
    return entry


def test_a_split_that_mixes_class_counts_comes_whole_and_by_count(summary: dict[str, Any]) -> None:
    rows = [(r["split"], r.get("num_classes"), r["num_tasks"]) for r in summary["rows"] if r["method"] == "selection"]
    unseen = "unseen-combination"
    assert rows == [(unseen, None, 3), (unseen, 3, 1), (unseen, 2, 2), ("seen", 2, 1)]


def test_a_row_by_hand(summary: dict[str, Any]) -> None:
    row = pick(summary["rows"], method="tina", num_classes=2)
    # Mean of 0.7 and 0.9; standard deviation sqrt(0.02); half width 12.7062 * 0.1.
    assert row["accuracy"]["mean"] == pytest.approx(0.8)
    assert row["accuracy"]["std"] == pytest.approx(0.02**0.5)
    assert row["accuracy"]["ci95"] == pytest.approx([0.8 - 1.27062, 0.8 + 1.27062], abs=1e-5)
    assert (row["seconds_per_model"], row["seconds_per_model_in_batch"], row["parameters"]) == (0.2, 0.02, 20)


def test_memory_is_that_of_the_greediest_group(summary: dict[str, Any]) -> None:
    wanted = {"method": "selection", "split": "unseen-combination"}
    assert pick(summary["rows"], **wanted, num_classes=2)["peak_memory"] == 2_000_000
    assert pick(summary["rows"], **wanted, num_classes=None)["peak_memory"] == 12_400_000
    assert pick(summary["rows"], method="selection", split="seen")["peak_memory"] is None


def test_the_whole_split_by_hand(summary: dict[str, Any]) -> None:
    row = pick(summary["rows"], method="tina", split="unseen-combination", num_classes=None)
    assert row["accuracy"]["mean"] == pytest.approx(2.2 / 3)
    assert row["seconds_per_model"] == pytest.approx((0.2 + 0.5 + 0.2) / 3)
    assert row["parameters"] is None
    assert "seconds_per_model_in_batch" not in pick(summary["rows"], method="selection", split="seen")


def test_no_row_without_a_network(summary: dict[str, Any]) -> None:
    assert not [row for row in summary["rows"] if row["method"] == "tina" and row["split"] == "seen"]
    assert summary["skipped"] == [{"method": "tina", "reason": "1 of 1 tasks left out", "split": "seen"}]


def test_paired_differences_by_hand(summary: dict[str, Any]) -> None:
    wanted = {"method": "tina", "against": "selection", "split": "unseen-combination"}
    entry = pick(summary["paired"], **wanted, num_classes=None)
    # Differences 0.1, 0.0, 0.2: mean 0.1, standard deviation 0.1, t(0.975, 2) = 4.302653.
    assert entry["num_tasks"] == 3
    assert entry["difference"]["mean"] == pytest.approx(0.1)
    half = 4.302653 * 0.1 / 3**0.5
    assert entry["difference"]["ci95"] == pytest.approx([0.1 - half, 0.1 + half], abs=1e-6)
    assert pick(summary["paired"], **wanted, num_classes=3)["difference"] == pytest.approx(
        {"mean": 0.0, "std": None, "ci95": None}
    )


def test_every_selection_is_compared_against(summary: dict[str, Any]) -> None:
    other = pick(summary["paired"], method="tina", against="selection@other", num_classes=2)
    assert other["difference"]["mean"] == pytest.approx(0.2)
    assert pick(summary["paired"], method="selection@other", against="selection", split="seen")
    assert not [e for e in summary["paired"] if e["method"] == e["against"]]


def test_files_are_written_and_can_be_read_again(tmp_path: Path, summary: dict[str, Any]) -> None:
    results = assemble(TASKS, [result("selection", [0.5, None, 0.5, 0.5])], SETUP)
    write_results(tmp_path / "new" / "out", results)
    folder = tmp_path / "new" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["results.json", "results.md", "tasks.json"]
    assert json.loads((folder / "results.json").read_text())["rows"] == results.summary["rows"]
    assert load_tasks(folder / "tasks.json") == TASKS
    entries = json.loads((folder / "tasks.json").read_text())["tasks"]
    assert entries[0]["accuracy"] == {"selection": 0.5}
    assert entries[1]["accuracy"] == {}


def test_nothing_is_written_if_one_file_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results.json").write_text("old")
    write_text = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if "tasks.json" in self.name:
            raise OSError("no space left")
        return write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match="no space left"):
        write_results(tmp_path, assemble(TASKS, [result("selection", [0.5] * 4)], SETUP))
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "old"


def test_a_place_that_cannot_be_written_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not a folder"):
        check_output(tmp_path / "file" / "below")
    (tmp_path / "out" / "results.md").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"results\.md' is a folder"):
        check_output(tmp_path / "out")
    check_output(tmp_path / "fresh" / "deep")
    assert not (tmp_path / "fresh").exists()


def test_substitute_is_a_reference_where_selection_has_no_rows() -> None:
    results = [result("tina", [0.7, 0.6, 0.9, None]), result("substitute", [0.6, 0.6, 0.7, None])]
    pairs = assemble(TASKS, results, SETUP).summary["paired"]
    assert {(p["method"], p["against"]) for p in pairs} == {("tina", "substitute")}
    of_two = next(p for p in pairs if p.get("num_classes") == 2)
    assert of_two["difference"]["mean"] == pytest.approx(0.15)
