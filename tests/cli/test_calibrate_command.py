"""``tina calibrate`` on a generator of the quick kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture
def world(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the generator and pictures of its classes."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_folder, "tiny")
    labels = np.repeat(np.arange(12), 20)
    images = np.random.default_rng(0).integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
    parts = {"train_images": images, "train_labels": labels, "test_images": images[::20], "test_labels": labels[::20]}
    np.savez("noise.npz", **parts, class_names=np.array(CLASSES))
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *words])
    return int(ended.value.code or 0)


def test_thresholds_are_written(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model", "tiny", "--dataset", "arrays:noise.npz", "--num-tasks", "2")
    assert run(*words, "--kept", "0.8", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    found = json.loads((world / "tiny" / "config.json").read_text())["abstention"]
    assert printed["abstention"] == found
    assert (found["score"], found["kept"]) == ("max-logit", 0.8)
    assert Generator.from_pretrained("tiny", device="cpu")(["ant", "bee"]).abstention_threshold is not None
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert out.split()[:2] == ["classes", "tasks"]
    assert "The thresholds are saved in" in out


def test_a_generator_of_any_words_is_calibrated_on_any_pictures(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tina_framework.evaluation.calibration.thresholds.is_new_data", lambda config, dataset: True)
    words = ("--model", "tiny", "--dataset", "arrays:noise.npz", "--num-tasks", "2")
    assert run(*words, "--no-abstention") == 2
    assert "say nothing about familiarity" in capsys.readouterr().err
    assert run(*words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Only thresholds are set" in out
    assert "Measured on all but the test images of 'arrays:noise.npz'" in out
    assert "familiarity of prompts" not in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "cifar100-cnn"], "'cifar100-cnn' is not a folder; give its path"),
        (["--model", "tiny", "--kept", "90"], "above 0 and at most 1"),
        (
            ["--model", "tiny", "--no-familiarity", "--descriptions", "x.json"],
            "--descriptions has no effect with --no-familiarity",
        ),
    ],
)
def test_refusals(world: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    before = (world / "tiny" / "config.json").read_bytes()
    assert run(*words, "--dataset", "arrays:noise.npz") == 2
    assert sentence in capsys.readouterr().err
    assert (world / "tiny" / "config.json").read_bytes() == before
