"""The folder of a classifier: round trips, and everything that may be wrong with one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier, replaceable
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.digest import renew_digest

NAMES = ("ant", "bee", "cat")
LOOK = {"input_shape": [3, 32, 32], "mean": [0, 0, 0], "std": [1, 1, 1], "fit": "crop-centre"}


def test_folder_round_trip(classifier: GeneratedClassifier, folder: Path, pixels: np.ndarray) -> None:
    loaded = GeneratedClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
    assert loaded.class_names == NAMES
    assert loaded.provenance["seed"] == 5
    assert loaded.provenance["package_version"]
    assert loaded.preprocessing == classifier.preprocessing
    assert json.loads((folder / "config.json").read_text())["preprocessing"]["fit"] == "crop-centre"
    assert not loaded.training
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").stat().st_mode & 0o044


def test_weights_load_into_the_plain_module(classifier: GeneratedClassifier, folder: Path) -> None:
    module = CNN2Layer(3)
    assert set(load_file(folder / "model.safetensors")) == {"conv1.weight", "conv2.weight", "fc.weight", "fc.bias"}
    module.load_state_dict(load_file(folder / "model.safetensors"))
    inputs = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(module(inputs), classifier(inputs))


def _edit(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text())
    values.update(changes)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    renew_digest(folder / "config.json")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "tina-generator"}, "its format is 'tina-generator'"),
        ({"format": None}, "it states no format"),
        ({"format_version": 2}, "format_version 2, but this program reads version 1"),
        ({"extra": 1}, "has unknown extra"),
        ({"class_names": None}, "lacks .*class_names"),
        ({"sha256": None}, "records no SHA-256"),
        ({"class_names": ["ant", "bee"]}, r"'fc.weight' has shape \(3, 32\), expected \(2, 32\)"),
        ({"class_names": ["ant", "bee", "bee"]}, "has the name 'bee' twice"),
        ({"class_names": "ant"}, "not a list of names"),
        ({"class_names": []}, "not a list of names"),
        ({"architecture": "cnn-3layer"}, "Did you mean 'cnn-2layer'"),
        ({"architecture": "os:system"}, "cannot be made"),
        ({"architecture": 3}, "architecture must be a name"),
        ({"provenance": 3}, "provenance a table"),
        (
            {"abstention": {"score": "luck", "threshold": 1}},
            "score of abstention is 'luck', but this program reads thresholds of 'max-logit' alone; remove the key",
        ),
        ({"abstention": {"threshold": 1}}, "needs exactly score, threshold"),
        ({"abstention": 3}, "needs exactly score, threshold"),
        ({"preprocessing": {}}, "expected input_shape"),
        ({"preprocessing": {**LOOK, "std": [1, 0, 1]}}, "expected input_shape"),
        ({"preprocessing": {**LOOK, "more": 1}}, "expected input_shape"),
        (
            {"preprocessing": {key: LOOK[key] for key in ("input_shape", "mean", "std")}},
            "fit 'crop-centre', and perhaps crop_pct",
        ),
        ({"preprocessing": {**LOOK, "crop_pct": 1.5}}, "crop_pct is 1.5; give a number above 0 and at most 1"),
        ({"preprocessing": {**LOOK, "input_shape": [3, 64, 64]}}, "input_shape is"),
        (
            {"preprocessing": {**LOOK, "fit": "stretch"}},
            "fit of pictures is 'stretch', but this program knows only 'crop-centre'",
        ),
    ],
)
def test_altered_configs_are_refused(folder: Path, changes: dict[str, object], sentence: str) -> None:
    _edit(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        GeneratedClassifier.from_pretrained(folder)


def test_altered_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole, tensors = path.read_bytes(), {name: tensor.clone() for name, tensor in load_file(path).items()}
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({**tensors, "fc.bias": torch.full((3,), torch.nan)}, path)
    with pytest.raises(CheckpointError, match=r"'fc\.bias' holds values that are not finite"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({**tensors, "conv1.weight": torch.zeros(16, 3, 5, 5)}, path)
    with pytest.raises(CheckpointError, match=r"'conv1\.weight' has shape"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({name: tensor for name, tensor in tensors.items() if name != "fc.bias"}, path)
    with pytest.raises(CheckpointError, match=r"lacks fc\.bias"):
        GeneratedClassifier.from_pretrained(folder)
    path.write_bytes(bytes([*whole[:-1], whole[-1] ^ 1]))  # a number a little larger
    with pytest.raises(CheckpointError, match="was altered"):
        GeneratedClassifier.from_pretrained(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        GeneratedClassifier.from_pretrained(folder)


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        GeneratedClassifier.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is not a folder"):
        GeneratedClassifier.from_pretrained(tmp_path / "nowhere")


def test_saving_replaces_a_classifier_and_nothing_else(classifier: GeneratedClassifier, folder: Path) -> None:
    classifier.save_pretrained(folder)
    (folder.parent / "empty").mkdir()
    classifier.save_pretrained(folder.parent / "empty")
    assert replaceable(folder.parent / "empty")
    precious = folder / "notes.txt"
    precious.write_text("precious")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="holds other files besides"):
        classifier.save_pretrained(folder)
    assert precious.read_text() == "precious"
    assert (folder / "model.safetensors").read_bytes() == before
    with pytest.raises(ConfigError, match="is not a folder"):
        classifier.save_pretrained(precious)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["empty", "model"]


def test_a_failed_save_leaves_the_old_folder(
    classifier: GeneratedClassifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tina_framework.classifier.folder.write_safetensors", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        classifier.save_pretrained(folder)
    with pytest.raises(ConfigError, match="No space left"):
        classifier.save_pretrained(folder.parent / "new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_parameters_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in CNN2Layer(2).state_dict().items()}
    state["fc.bias"][0] = torch.inf
    with pytest.raises(CheckpointError, match="not finite"):
        GeneratedClassifier.from_state(cnn_2layer, ["a", "b"], state).save_pretrained(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_copied_folder_works(folder: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert len(GeneratedClassifier.from_pretrained(tmp_path / "elsewhere").predict(pixels)) == 6
