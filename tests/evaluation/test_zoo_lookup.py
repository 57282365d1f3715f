"""The zoo of a generator is found by its name only, and must have the same architecture."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation import zoo_lookup
from tina_framework.evaluation.zoo_lookup import find_zoo, open_zoo, training_setting
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.folder_registry import FolderRegistry
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.manifest import manifest_sha256, write_manifest


def generator_of(training: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(config=SimpleNamespace(training=training))


def test_the_training_record_is_searched_at_its_top_and_in_the_recipe() -> None:
    assert training_setting({"zoo": "a", "recipe": {"zoo": "b"}}, "zoo") == "a"
    assert training_setting({"recipe": {"zoo": "b"}}, "zoo") == "b"
    assert training_setting({"recipe": "none"}, "zoo") is None


@pytest.fixture
def zoos(monkeypatch: pytest.MonkeyPatch, zoo_folder: Path) -> None:
    registry = FolderRegistry("zoo")
    registry.add("my-zoo", zoo_folder, distribution="fake-zoos")
    registry.add("lost-zoo", "tina_framework:pretrained/lost-zoo", distribution="fake-zoos")
    found = dataclasses.replace(registries(), zoos=registry)
    monkeypatch.setattr(zoo_lookup, "registries", lambda: found)


@pytest.mark.usefixtures("zoos")
def test_a_zoo_of_a_package_is_found_by_its_name(zoo_folder: Path) -> None:
    for training in ({"zoo": "my-zoo"}, {"recipe": {"zoo": "runs/my-zoo"}}):
        assert find_zoo(generator_of(training)) == (zoo_folder, "")
    folder, reason = find_zoo(generator_of({"zoo": "other"}))
    assert folder is None
    assert reason == "no installed package provides the generator's zoo 'other'; give its folder with --zoo"
    assert "names no zoo" in find_zoo(generator_of({}))[1]
    assert find_zoo(generator_of({"zoo": "lost-zoo"}))[1].endswith(
        "but there is no such folder; reinstall it, or give its folder with --zoo"
    )


def test_the_zoo_of_the_bundled_generator_is_found() -> None:
    folder, reason = find_zoo(Generator.from_pretrained("cifar100-cnn", device="cpu"))
    assert (folder and folder.name, reason) == ("cifar100-zoo", "")


@pytest.mark.usefixtures("zoos")
def test_a_model_folder_cannot_make_the_program_read_elsewhere(tmp_path: Path, zoo_folder: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "zoo.json").write_text("{}")
    for name in (str(zoo_folder), "../outside", "..", "", "my-zoo/..", "My-Zoo"):
        assert find_zoo(generator_of({"zoo": name}))[0] is None


def test_the_zoo_must_be_of_the_same_architecture(zoo_folder: Path, spec: ParameterSpec) -> None:
    assert len(open_zoo(zoo_folder, spec)) == 4
    other = TargetArchitecture("other", spec.architecture.build)
    with pytest.raises(CheckpointError, match="the generator makes 'other'"):
        open_zoo(zoo_folder, ParameterSpec(other))


def test_the_zoo_of_an_own_run_is_found_near_the_generator(
    tmp_path: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for place in (home / "runs", elsewhere):
        place.mkdir(parents=True)
    shutil.copytree(zoo_folder, home / "runs" / "birds-zoo")
    generator = generator_of({"recipe": {"zoo": "runs/birds-zoo"}, "zoo_sha256": manifest_sha256(zoo_folder)})
    monkeypatch.chdir(elsewhere)
    for model in ("runs/generator", "runs/birds/generator"):
        assert find_zoo(generator, home / model)[0] == home / "runs" / "birds-zoo"
    assert find_zoo(generator, elsewhere / "generator")[0] is None
    assert find_zoo(generator)[0] is None  # a generator of a package or of the Hub
    monkeypatch.chdir(home)
    assert find_zoo(generator, elsewhere / "generator")[0] == Path("runs/birds-zoo")


def test_only_the_recorded_zoo_is_used(tmp_path: Path, zoo_folder: Path) -> None:
    shutil.copytree(zoo_folder, tmp_path / "zoo")
    for record in ({}, {"zoo_sha256": "0" * 64}, {"zoo_sha256": None}, {"zoo_sha256": ["x"]}):
        assert find_zoo(generator_of({"zoo": "zoo", **record}), tmp_path / "generator")[0] is None
    right = {"zoo": "../zoo", "zoo_sha256": manifest_sha256(zoo_folder)}
    assert find_zoo(generator_of(right), tmp_path / "generator")[0] == tmp_path / "zoo"
    assert find_zoo(generator_of(right), tmp_path / "a" / "b" / "generator")[0] is None


def test_each_architecture_of_a_generator_has_its_zoo(
    tmp_path: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, more in (("first", ""), ("second", " ")):
        shutil.copytree(zoo_folder, tmp_path / name)
        with (tmp_path / name / "zoo.json").open("a") as file:
            file.write(more)
    hashes = {"a": manifest_sha256(tmp_path / "first"), "b": manifest_sha256(tmp_path / "second"), "c": "0" * 64}
    training = {"recipe": {"zoo": "first", "zoos": ["second"]}, "zoo_sha256": hashes["a"], "zoos_sha256": hashes}
    found = {}
    for name in ("a", "b", "c", "d"):
        generator = generator_of(training)
        generator.config.architecture = name
        found[name] = find_zoo(generator, tmp_path / "generator")[0]
    assert found == {"a": tmp_path / "first", "b": tmp_path / "second", "c": None, "d": None}
    # The same for zoos of packages.
    registry = FolderRegistry("zoo")
    for name in ("first", "second"):
        registry.add(name, tmp_path / name, distribution="fake-zoos")
    monkeypatch.setattr(zoo_lookup, "registries", lambda: dataclasses.replace(registries(), zoos=registry))
    generator.config.architecture = "b"
    assert find_zoo(generator)[0] == tmp_path / "second"
    generator.config.architecture = "c"
    assert find_zoo(generator) == (
        None,
        "the generator's zoo with the generic model of 'c' was not found (it is one of 'first', 'second'); build it, or give its "
        "folder with --zoo",
    )


def test_a_zoo_of_a_wider_network_is_narrowed(tmp_path: Path, zoo_folder: Path) -> None:
    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    narrow = ParameterSpec(registries().architectures.create("cnn-2layer@0.5"))
    with pytest.raises(ConfigError, match=r"alone, so it has no 'cnn-2layer@0\.5'"):
        open_zoo(folder, narrow)
    manifest = json.loads((folder / "zoo.json").read_text())
    manifest["config"]["generic_widths"] = [0.5]
    shapes = {info.name: info.shape for info in narrow.parameters(len(manifest["class_names"]))}
    write_safetensors(folder / "generic-0.5.safetensors", {name: torch.zeros(shape) for name, shape in shapes.items()})
    write_manifest(folder, {key: value for key, value in manifest.items() if key != "sha256"})
    zoo = open_zoo(folder, narrow)
    assert (zoo.architecture, len(zoo)) == ("cnn-2layer@0.5", 0)
    assert zoo.generic["conv1.weight"].shape[0] == 8
