"""The script separates pictures for fine-tuning and measuring, resumes, and hands over the chosen settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.choose import shots as module
from benchmarks.choose import shots_setup
from benchmarks.choose.shots_setup import Setup
from benchmarks.plots.reading import read_usefulness
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.errors import ConfigError
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import save_tasks

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture
def shots(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the script in an empty folder, and return its module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shots_setup, "grid", lambda start, n: {f"{lr}": FineTuneSettings(2, lr) for lr in (0.01, 0.02)})
    labels = np.repeat(np.arange(12), 40)
    images = np.random.default_rng(0).integers(0, 256, (480, 32, 32, 3), dtype=np.uint8)
    np.savez(
        "noise.npz",
        train_images=images,
        train_labels=labels,
        test_images=images[::20],
        test_labels=labels[::20],
        class_names=np.array(CLASSES),
    )
    save_tasks("reserved.json", TaskSampler(CLASSES, partition="test").tasks(2))
    words = ["--dataset", "arrays:noise.npz", "--model", str(tiny_folder), "--tasks", "1", "--shots", "1,3"]

    def run(*more: str) -> Any:
        module.main([*words, *more])
        return module

    run.words = words  # type: ignore[attr-defined]
    return run


def test_choosing_resuming_and_reporting(shots: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    shots("--starts", "tina,selection", "--out", "choice")
    found = json.loads(Path("choice/shots.json").read_text())
    assert [row["shots"] for row in found["starts"]["tina"]] == [0, 1, 3]
    assert [row["unseen"] for row in found["starts"]["tina"]] == [0, 1, 2]  # half of four validation images
    assert "minus_selection" in found["starts"]["tina"][1]
    best = max(found["grid"]["tina"]["3"], key=lambda label: found["grid"]["tina"]["3"][label]["mean"])
    assert found["chosen"]["tina"]["3"]["lr"] == float(best)
    assert found["setup"]["seed"] == 0
    cells = Path("choice/cells.jsonl")
    lines = cells.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * (1 + 2 * 2)
    cells.write_text("".join(lines[:-1]) + lines[-1][:20])  # stopped in the middle of a line
    shots("--starts", "tina,selection", "--out", "choice")
    again = cells.read_text().splitlines(keepends=True)
    assert again[:-1] == lines[:-1]
    assert json.loads(again[-1])["accuracy"] == json.loads(lines[-1])["accuracy"]
    with pytest.raises(ConfigError, match="other settings"):
        shots("--out", "choice", "--look", "grey")
    reserved = ["--test", "--task-file", "reserved.json", "--settings", "choice/shots.json"]
    shots("--starts", "tina,selection", *reserved, "--out", "report")
    report = json.loads(Path("report/shots.json").read_text())
    assert [row["unseen"] for row in report["starts"]["tina"]] == [0, 1, 3]
    assert report["starts"]["tina"][2]["settings"] == found["chosen"]["tina"]["3"]
    assert "chosen" not in report
    curves = read_usefulness(Path("report/usefulness.json"))
    assert [100 * point.mean for point in curves["tina"]] == pytest.approx(
        [row["mean"] for row in report["starts"]["tina"]]
    )
    shots("--starts", "tina", *reserved[:-1], "defaults", "--out", "defaults")
    [_, one, three] = json.loads(Path("defaults/shots.json").read_text())["starts"]["tina"]
    assert (one["settings"]["steps"], three["settings"]["steps"]) == (50, 60)
    shots("--starts", "tina", *reserved[:-1], "defaults", "--out", "defaults", "--shots", "2")  # continues the file
    assert len(Path("defaults/cells.jsonl").read_text().splitlines()) == 1 + 4
    with pytest.raises(ConfigError, match="no settings for scratch"):
        shots("--starts", "scratch", *reserved, "--out", "other")
    assert "tina" in capsys.readouterr().out


def test_pictures_to_learn_from_are_not_those_to_measure_on(shots: Callable[..., Any]) -> None:
    def setup(*more: str) -> Setup:
        return Setup(module.parse([*shots.words, *more]))  # type: ignore[attr-defined]

    def same(a: torch.Tensor, b: torch.Tensor) -> int:
        return sum(bool((a == picture).flatten(1).all(dim=1).any()) for picture in b)

    choosing = setup()
    [task] = choosing.tasks
    few, _, measured, truth, _ = choosing.pictures(task, 1)
    many, slots, _, _, unseen = choosing.pictures(task, 3)
    assert (len(few), len(many), len(measured), unseen) == (10, 30, 20, 2)
    assert same(many, few) == 10
    assert same(measured, many) == 0
    assert same(choosing.learn.images, many) == 20
    assert same(choosing.seen.images, many) == 10  # the third of each class
    for picture, slot in zip(many, slots, strict=True):
        bank = choosing.learn if same(choosing.learn.images, picture[None]) else choosing.seen
        place = int((bank.images == picture).flatten(1).all(dim=1).nonzero()[0, 0])
        assert bank.class_names[int(bank.labels[place])] == task.classes[int(slot)]
    assert truth.bincount().tolist() == [2] * 10
    grey = setup("--look", "grey").learn.images
    assert torch.equal(grey[:, 0], grey[:, 2])
    starts = {name: choosing.start(name, task) for name in ("tina", "selection", "new-head", "scratch")}
    shared = choosing.spec.flat_class(10) < 0
    assert torch.equal(starts["selection"][shared], starts["new-head"][shared])
    assert torch.equal(starts["scratch"][~shared], starts["new-head"][~shared])
    assert not torch.equal(starts["tina"], starts["selection"])
