"""`tina rehash`: hand edits of settings are accepted, other changes are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.cli.rehash_command import renew_folder
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.zoo.store import Zoo


@pytest.fixture
def folder(tmp_path: Path, tiny_generator: Generator) -> Path:
    tiny_generator(["ant", "bee"], seed=0).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: object) -> None:
    values = json.loads(path.read_text()) | changes
    if "class_names" in changes:  # the same names in another form
        values.pop("id2label")
        values.pop("label2id")
    path.write_text(json.dumps(values))


def test_an_edit_is_refused_until_it_is_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder / "config.json", class_names=["wasp", "bee"])
    with pytest.raises(CheckpointError, match=r"run `tina rehash"):
        GeneratedClassifier.from_pretrained(folder)
    with pytest.raises(SystemExit, match="0"):
        main(["rehash", str(folder)])
    assert "Renewed the digest of config.json" in capsys.readouterr().out
    assert GeneratedClassifier.from_pretrained(folder).class_names == ("wasp", "bee")
    with pytest.raises(SystemExit, match="0"):
        main(["rehash", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["renewed"] == []


def test_settings_that_cannot_be_loaded_stay_refused(folder: Path) -> None:
    edit(folder / "config.json", class_names=["wasp", "bee", "ant"])
    before = (folder / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match="has shape"):
        renew_folder(folder)
    assert (folder / "config.json").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_changed_weights_stay_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    edit(folder / "config.json", class_names=["wasp", "bee"])
    with pytest.raises(CheckpointError, match="was altered"):
        renew_folder(folder)


def test_generators_and_zoos_are_accepted_too(tmp_path: Path, tiny_generator: Generator) -> None:
    tiny_generator.save_pretrained(tmp_path / "generator")
    edit(tmp_path / "generator" / "config.json", num_inference_steps=1)
    assert renew_folder(tmp_path / "generator") == ["config.json"]
    shutil.copytree(Path(__file__).parents[2] / "tina_framework" / "pretrained" / "cifar100-zoo", tmp_path / "zoo")
    edit(tmp_path / "zoo" / "zoo.json", figures={})
    assert renew_folder(tmp_path / "zoo") == ["zoo.json"]
    assert Zoo.open(tmp_path / "zoo").figures == {}


def test_other_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        renew_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is neither a generator"):
        renew_folder(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="is not a JSON object"):
        renew_folder(tmp_path)
