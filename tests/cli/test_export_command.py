"""`tina export`: what it prints, pictures with and without classes, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with the names of three shipped pictures."""
    torch.manual_seed(0)
    names = ("apple", "bear", "bus")
    model = GeneratedClassifier.from_state(
        cnn_2layer, names, CNN2Layer(3).state_dict(), {"generator": "cifar100-cnn", "seed": 0}
    )
    folder = tmp_path_factory.mktemp("export") / "pets"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tina(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit:
        main(["export", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(exit.value.code or 0), out, err


def test_it_says_what_was_written(capsys: pytest.CaptureFixture[str], saved: Path, here: Path) -> None:
    code, out, err = tina(capsys, saved, "--format", "torch-export")
    assert (code, err) == (0, "")
    assert "written to:  pets.pt2 (" in out
    assert "100 pictures: made-up pictures" in out
    assert "100 % agree" in out
    assert [entry.name for entry in here.iterdir()] == ["pets.pt2"]


def test_json_and_labelled_pictures(capsys: pytest.CaptureFixture[str], saved: Path, here: Path) -> None:
    for name in ("apple", "bear"):
        (here / "photos" / name).mkdir(parents=True)
        for index in range(2):
            pixels = np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(here / "photos" / name / f"{index}.png")
    code, out, _ = tina(capsys, saved, "--format", "torch-export", "--pictures", "photos", "--out", "a/b.pt2", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["path"] == "a/b.pt2"
    assert found["comparison"]["pictures"] == 4
    assert found["comparison"]["accuracy"]["classifier"] == found["comparison"]["accuracy"]["exported"]
    code, out, _ = tina(capsys, saved, "--format", "torch-export", "--pictures", "photos/apple")
    assert code == 0
    assert "accuracy" not in out


def test_demo_pictures(capsys: pytest.CaptureFixture[str], saved: Path) -> None:
    code, out, _ = tina(capsys, saved, "--format", "torch-export", "--pictures", "demo", "--json")
    assert code == 0
    assert json.loads(out)["comparison"]["source"] == "given"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--format", "onx"], 2, "Unknown exporter 'onx'. Did you mean 'onnx'?"),
        (["--format", "torch-export", "--int8", "demo"], 2, "Format 'torch-export' holds no 8-bit integers"),
        (["--format", "torch-export", "--out", "x.onnx"], 2, "'x.onnx' does not end in .pt2"),
        (["--format", "torch-export", "--pictures", "nowhere"], 1, "nowhere"),
        (["--format", "torch-export", "--pictures", "."], 1, "have no pictures"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], saved: Path, here: Path, arguments: list[str], code: int, sentence: str
) -> None:
    found, out, err = tina(capsys, saved, *arguments)
    assert (found, out) == (code, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_folder_that_is_no_classifier(capsys: pytest.CaptureFixture[str], saved: Path, here: Path) -> None:
    code, _, err = tina(capsys, here, "--format", "torch-export", "--out", "x.pt2")
    assert code == 1
    assert "is not a tina-classifier folder" in err
    shutil.copytree(saved, here / "cut")
    (here / "cut" / "model.safetensors").write_bytes(b"")
    assert tina(capsys, here / "cut", "--format", "torch-export")[0] == 1
    assert {entry.name for entry in here.iterdir()} == {"cut"}
