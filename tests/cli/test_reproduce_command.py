"""``tina reproduce``: recorded once, measured again, on the same pictures and on others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.cli.__main__ import main
from tina_framework.evaluation.reproduce import records
from tina_framework.evaluation.reproduce import remeasure as remeasure_module
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.tasks import Task, save_tasks

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")
TABLES = [
    {"name": "pairs", "title": "Pairs", "model": "tiny", "task_file": "pairs-source.json", "methods": "tina,selection"},
    {"name": "absent", "title": "Absent", "model": "none", "task_file": "pairs-source.json", "methods": "tina"},
]


def write_data(path: Path, *, seed: int = 0, per_class: int = 6, keep: Any = slice(None), names: Any = CLASSES) -> None:
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    images = np.random.default_rng(seed).integers(0, 256, size=(len(labels), 32, 32, 3)).astype(np.uint8)
    test = {"test_images": images[keep], "test_labels": labels[keep]}
    np.savez(path, class_names=np.array(names), train_images=images, train_labels=labels, **test)


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record ``toy`` of one table, not recorded yet; pictures of noise, every second one of each class."""
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    tasks = [(a, b) for a in CLASSES for b in CLASSES if a < b and partition_of((a, b)) == "test"]
    save_tasks(tmp_path / "pairs-source.json", [Task(classes, "unseen-combination") for classes in tasks[:5]])
    folder = tmp_path / "recorded" / "toy"
    folder.mkdir(parents=True)
    for table in TABLES:
        table["encoder"] = "toy"
    index = {"format": "tina-record", "format_version": 1, "data": "the toys", "tables": TABLES}
    (folder / "record.json").write_text(json.dumps(index))
    write_data(tmp_path / "toys.npz", keep=slice(None, None, 2))
    monkeypatch.setattr(records, "_root", lambda: tmp_path / "recorded")
    monkeypatch.setattr(remeasure_module, "bundled_folder", lambda name: tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*changes: str, data: str = "toys.npz") -> int:
    with pytest.raises(SystemExit) as caught:
        main(["reproduce", "toy", "--data", data, "--device", "cpu", *changes])
    return int(caught.value.code or 0)


@pytest.fixture
def recorded(place: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run("--record") == 0
    capsys.readouterr()
    return place


def test_recording_writes_figures_tasks_and_digests(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--table", "pairs") == 2
    assert "nothing is recorded yet" in capsys.readouterr().err
    assert run("--record") == 0
    output = capsys.readouterr()
    assert "Measured: pairs." in output.out
    assert "'none' is not installed" in output.err
    folder = place / "recorded" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == ["images-test.txt", "pairs.json", "record.json"]
    pairs, absent = json.loads((folder / "record.json").read_text())["tables"]
    assert "recorded" not in absent
    entry = pairs.pop("recorded")
    assert pairs == TABLES[0]
    assert entry["images"]["test"]["images"] == 36
    assert [row["method"] for row in entry["rows"]] == ["tina", "selection"]
    assert len((folder / "images-test.txt").read_text().split()) == 36
    assert str(place) not in (folder / "record.json").read_text() + (folder / "pairs.json").read_text()


def test_the_same_pictures_give_the_same_figures(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", "out") == 0
    output = capsys.readouterr()
    assert "All 2 figures hold." in output.out
    assert "Pairs, 5 tasks, test images" in output.out
    assert "paired difference from selection in points" in output.out
    assert output.out.count("reproduced: within 0.3 points") == 2
    assert "Test images: the recorded pictures (here 36, 3 a class" in output.err
    assert max(len(line) for line in output.out.splitlines()[:5]) <= 80
    summary = json.loads((recorded / "out" / "reproduce.json").read_text())
    assert summary["holds"] is True
    assert (recorded / "out" / "pairs" / "results.json").is_file()
    assert str(recorded) not in (recorded / "out" / "reproduce.json").read_text()


def test_quick_compares_a_few_tasks_with_themselves(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded / "recorded" / "toy" / "record.json"
    index = json.loads(path.read_text())
    index["tables"][0]["quick_tasks"] = 2
    path.write_text(json.dumps(index))
    assert run("--quick", "--json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert {row["recorded"]["num_tasks"] for row in table["rows"]} == {2}
    assert all(row["recorded"] == row["measured"] for row in table["rows"])


def test_a_figure_that_does_not_hold_fails(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded / "recorded" / "toy" / "pairs.json"
    tasks = json.loads(path.read_text())
    for task in tasks["tasks"]:
        task["accuracy"]["tina"] -= 0.2
    path.write_text(json.dumps(tasks))
    assert run() == 1
    output = capsys.readouterr()
    assert "differs: by 20.00 points" in output.out
    assert "1 of 2 figures do not hold." in output.out
    assert "Traceback" not in output.err


def test_recorded_pictures_are_picked_out_of_a_larger_set(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(recorded / "whole.npz")
    assert run(data="whole.npz") == 0
    output = capsys.readouterr()
    assert "the recorded ones were picked out of them (here 72, 6 a class, recorded 36, 3 a class)" in output.err
    assert output.out.count("reproduced: within 0.3 points") == 2


def test_another_order_is_told_and_changes_nothing(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(recorded / "back.npz", keep=slice(None, None, 2))
    with np.load(recorded / "back.npz") as arrays:
        values = dict(arrays)
    for name in ("test_images", "test_labels"):
        values[name] = values[name][::-1]
    np.savez(recorded / "back.npz", **values)
    assert run(data="back.npz") == 0
    assert "the recorded pictures in another order" in capsys.readouterr().err


def test_other_pictures_are_told_and_compared_by_intervals(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(recorded / "other.npz", seed=5)
    run(data="other.npz")  # noise: whether the intervals overlap is chance
    output = capsys.readouterr()
    assert "other pictures than the recorded ones" in output.err
    assert "95 % intervals are compared" in output.err


def test_another_generator_or_encoder_is_told(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = recorded / "tiny" / "config.json"
    values = json.loads(config.read_text())
    values["training"] = {"recipe": "another"}
    config.write_text(json.dumps(values))
    renew_digest(config)
    assert run() == 0
    assert "is not the one that was recorded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (["--table", "x"], 2, "has no table 'x'"),
        (["--record", "--quick"], 2, "leave out --quick"),
        (["--out", "toys.npz"], 2, "is not a folder"),
        (["--data", "none.npz"], 1, "does not exist"),
        (["--data", "strange.npz"], 1, "is not the toys: it lacks"),
        (["--data", "nonsense"], 2, "Unknown dataset"),
        (["--encoder", "clop"], 2, "Unknown encoder 'clop'"),
    ],
)
def test_mistakes(
    recorded: Path, capsys: pytest.CaptureFixture[str], changes: list[str], code: int, message: str
) -> None:
    write_data(recorded / "strange.npz", names=[f"{name} of another kind" for name in CLASSES])
    assert run(*changes) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors


def test_recording_needs_the_task_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "pairs-source.json").unlink()
    assert run("--record") == 2
    assert "root of a checkout" in capsys.readouterr().err
