"""Where generic models and zoos are found, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation import sources
from tina_framework.evaluation.sources import find_zoo, open_zoo, portable, read_generic, recorded
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.store import Zoo


def generator_of(training: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(config=SimpleNamespace(training=training))


def test_the_training_record_is_searched_at_its_top_and_in_the_recipe() -> None:
    assert recorded({"zoo": "a", "recipe": {"zoo": "b"}}, "zoo") == "a"
    assert recorded({"recipe": {"zoo": "b"}}, "zoo") == "b"
    assert recorded({"recipe": "none"}, "zoo") is None


def test_a_bundled_zoo_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pretrained" / "my-zoo").mkdir(parents=True)
    (tmp_path / "pretrained" / "my-zoo" / "zoo.json").write_text("{}")
    monkeypatch.setattr(sources.resources, "files", lambda package: tmp_path)
    for training in ({"zoo": "my-zoo"}, {"recipe": {"zoo": "runs/my-zoo"}}):
        assert find_zoo(generator_of(training)) == (tmp_path / "pretrained" / "my-zoo", "")
    folder, reason = find_zoo(generator_of({"zoo": "other"}))
    assert folder is None
    assert "'other' does not ship" in reason
    assert "names no zoo" in find_zoo(generator_of({}))[1]


def test_a_model_folder_cannot_make_the_program_read_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo_folder: Path
) -> None:
    (tmp_path / "pretrained").mkdir()
    monkeypatch.setattr(sources.resources, "files", lambda package: tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "zoo.json").write_text("{}")
    for name in (str(zoo_folder), "../outside", "..", ""):
        assert find_zoo(generator_of({"zoo": name}))[0] is None


def test_the_zoo_must_be_of_the_same_architecture(zoo_folder: Path, spec: ParameterSpec) -> None:
    assert len(open_zoo(zoo_folder, spec)) == 4
    other = TargetArchitecture("other", spec.architecture.build)
    with pytest.raises(CheckpointError, match="the generator makes 'other'"):
        open_zoo(zoo_folder, ParameterSpec(other))


def test_a_generic_model_from_each_kind_of_place(
    zoo: Zoo, tiny_folder: Path, tiny_generator: Any, spec: ParameterSpec, tmp_path: Path
) -> None:
    from_zoo = read_generic(str(zoo.folder), spec, ())
    assert from_zoo.class_names == zoo.class_names
    from_model = read_generic(str(tiny_folder), spec, ())
    assert torch.equal(from_model.state["fc.bias"], tiny_generator.generic["fc.bias"])
    file = tmp_path / "generic.safetensors"
    write_safetensors(file, {name: tensor.half() for name, tensor in zoo.generic.items()})
    from_file = read_generic(str(file), spec, zoo.class_names)
    assert from_file.state["fc.bias"].dtype == torch.float32
    names = json.dumps(list(reversed(zoo.class_names)))
    write_safetensors(file, zoo.generic, {"class_names": names})
    assert read_generic(str(file), spec, zoo.class_names).class_names == tuple(reversed(zoo.class_names))


def test_what_is_no_generic_model_is_refused(zoo: Zoo, spec: ParameterSpec, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no zoo folder"):
        read_generic(str(tmp_path / "nothing"), spec, zoo.class_names)
    file = tmp_path / "generic.safetensors"
    write_safetensors(file, zoo.generic)
    with pytest.raises(CheckpointError, match="shape"):
        read_generic(str(file), spec, zoo.class_names[:5])
    for broken in ("ant,bee", '{"a": 1}'):
        write_safetensors(file, zoo.generic, {"class_names": broken})
        with pytest.raises(CheckpointError, match="not a JSON list"):
            read_generic(str(file), spec, zoo.class_names)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("arrays:/home/me/toys.npz", "arrays:toys.npz"),
        ("arrays:data/toys.npz", "arrays:data/toys.npz"),
        ("/home/me/zoo", "zoo"),
        ("../zoo", "../zoo"),
        ("ddpm:1000", "ddpm:1000"),
        ("clip-lite", "clip-lite"),
    ],
)
def test_published_paths_name_no_folders_of_this_machine(given: str, shown: str) -> None:
    assert portable(given) == shown
