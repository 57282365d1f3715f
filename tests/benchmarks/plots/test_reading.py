"""Result files are read, and damaged ones are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plots.reading import find_results, one_model, read_abstaining, read_log, read_usefulness
from tina_framework.errors import DataError


def test_files_of_other_programs_are_passed_over(write: Any, tmp_path: Path) -> None:
    folder = write("b", {"tina": 0.02})
    write("a", {"tina": 0.01})
    other = folder.parent / "c"
    other.mkdir()
    (other / "results.json").write_text('{"format": "something else"}')
    found = find_results(tmp_path / "results")
    assert [results.folder.name for results in found] == ["a", "b"]
    assert len(found[0].tasks()) == 100


def test_one_picture_is_of_one_model(write: Any, tmp_path: Path) -> None:
    write("old", {"tina": 0.01}, sha="old", date="2026-11-24T00:00:00+00:00")
    write("new", {"tina": 0.02}, sha="new")
    write("more", {"tina": 0.02}, sha="new", count=5)
    write("lite", {"tina": 0.02}, sha="new", encoder="embedding-table:x.npz")
    write("validation", {"tina": 0.03}, sha="new", images="validation")
    write("other", {"tina": 0.04}, model="cifar80-cnn", date="2026-11-26T00:00:00+00:00")
    found = find_results(tmp_path / "results")

    def names(*how: Any) -> list[str]:
        return [results.folder.name for results in one_model(found, *how)[0]]

    assert names("cifar100-cnn", "test", None) == ["more", "new"]
    assert names("cifar100-cnn", "test", "embedding-table") == ["lite"]
    assert names("cifar100-cnn", "validation", None) == ["validation"]
    kept, left = one_model(found, "none", "test", None)
    assert not kept
    assert len(left) == 6


def test_a_log_gives_validations_with_the_time_of_training(log: Path) -> None:
    rows = read_log(log)
    assert [(row["step"], row["seconds"], row["difference"]) for row in rows] == [
        (0, 0, 0.0),
        (100, 62, 0.01),
        (200, 120, 0.02),
    ]


@pytest.mark.parametrize("text", ["", '{"kind": "train", "step": 1, "seconds": 1.0}', "{", '{"a": 1}', "[1]"])
def test_a_log_without_a_validation_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"log\.jsonl"):
        read_log(tmp_path / "log.jsonl")


def test_usefulness(tmp_path: Path) -> None:
    path = tmp_path / "usefulness.json"
    path.write_text(
        json.dumps({"starts": {"tina": [{"shots": 1, "mean": 0.6, "ci95": [0.5, 0.7]}, {"shots": 5, "mean": 0.65}]}})
    )
    (one, five) = read_usefulness(path)["tina"]
    assert (one.x, one.mean, one.low, one.high) == (1, 0.6, 0.5, 0.7)
    assert (five.low, five.high) == (0.65, 0.65)
    for text in ("{}", '{"starts": {}}', '{"starts": {"tina": [{"mean": 1}]}}', '{"starts": [1]}', "no"):
        path.write_text(text)
        with pytest.raises(DataError, match="usefulness"):
            read_usefulness(path)


def test_abstaining(tmp_path: Path) -> None:
    path = tmp_path / "abstain.json"
    value = {
        "curves": {"3": [{"kept": 0.9, "mean": 0.5, "ci95": [0.4, 0.6]}, {"kept": 0.8, "mean": 0.7, "ci95": None}]},
        "rows": {"3": {"kept": 0.91, "refused": {"mean": 0.45, "ci95": None}}},
    }
    path.write_text(json.dumps(value))
    curves, marks = read_abstaining(path)
    assert [(p.x, p.mean, p.low, p.high) for p in curves["3 classes"]] == [(0.9, 0.5, 0.4, 0.6), (0.8, 0.7, 0.7, 0.7)]
    assert (marks["3 classes"].x, marks["3 classes"].mean) == (0.91, 0.45)
    for text in ("{}", '{"curves": {}, "rows": {}}', '{"curves": {"3": [{"kept": 1}]}, "rows": {}}', "[1]", "no"):
        path.write_text(text)
        with pytest.raises(DataError, match="abstain"):
            read_abstaining(path)
