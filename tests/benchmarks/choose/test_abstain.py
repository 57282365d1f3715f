"""The script chooses and reports on noise, and refuses tasks that are not reserved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.choose.abstain import main
from benchmarks.choose.abstention_scores import SCORES
from benchmarks.plots.reading import read_abstaining
from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.errors import ConfigError
from tina_framework.evaluation.model_metadata import record_calibration
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import save_tasks

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture
def abstain(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the script in a folder with a generator and noise, and return its result."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_folder, "tiny")
    labels = np.repeat(np.arange(12), 40)
    images = np.random.default_rng(0).integers(0, 256, (480, 32, 32, 3), dtype=np.uint8)
    parts = {"train_images": images, "train_labels": labels, "test_images": images[::8], "test_labels": labels[::8]}
    np.savez("noise.npz", **parts, class_names=np.array(CLASSES))
    for partition in ("test", "validation"):
        save_tasks(f"{partition}.json", TaskSampler(CLASSES, partition=partition, class_counts={3: 1.0}).tasks(3))

    def run(*more: str) -> Any:
        words = ["--dataset", "arrays:noise.npz", "--model", "tiny", "--tasks", "2", "--per-class", "2", "--out", "out"]
        main([*words, *more])
        return json.loads(Path("out/abstain.json").read_text())

    return run


def test_the_score_that_refuses_most_is_chosen(abstain: Callable[..., Any]) -> None:
    found = abstain()
    assert set(found["scores"]) == set(SCORES)
    assert found["refused"][found["chosen"]] == max(found["refused"].values())
    row = found["scores"]["energy"]["3"]
    assert row["kept"] == pytest.approx(0.9, abs=0.1)
    rows = found["scores"]["energy"].values()
    assert found["refused"]["energy"] == pytest.approx(np.mean([row["refused"]["mean"] for row in rows]))
    assert found["setup"]["images"] == "validation"
    assert f"Chosen: {found['chosen']}." in Path("out/abstain.md").read_text()


def test_reporting_takes_the_thresholds_of_the_generator(abstain: Callable[..., Any]) -> None:
    reserved = ("--test", "--task-files", "test.json")
    with pytest.raises(ConfigError, match="no thresholds; run 'tina calibrate' first"):
        abstain(*reserved)
    record_calibration(Path("tiny"), AbstentionThresholds(0.9, {2: -1e6, 4: -1e6}, "toy"))
    found = abstain(*reserved)
    assert (found["score"], found["setup"]["images"]) == ("max-logit", "test")
    assert (found["rows"]["3"]["kept"], found["rows"]["3"]["refused"]["mean"]) == (1.0, 0.0)
    curves, marks = read_abstaining(Path("out/abstain.json"))
    assert len(curves["3 classes"]) > 10
    assert marks["3 classes"].x == 1.0
    with pytest.raises(ConfigError, match="not reserved for testing"):
        abstain("--test", "--task-files", "validation.json")
