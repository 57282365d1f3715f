"""The zoo of a generator is found by its name only, and must have the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError
from tina_framework.evaluation import zoo_lookup
from tina_framework.evaluation.zoo_lookup import find_zoo, open_zoo, training_setting
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec


def generator_of(training: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(config=SimpleNamespace(training=training))


def test_the_training_record_is_searched_at_its_top_and_in_the_recipe() -> None:
    assert training_setting({"zoo": "a", "recipe": {"zoo": "b"}}, "zoo") == "a"
    assert training_setting({"recipe": {"zoo": "b"}}, "zoo") == "b"
    assert training_setting({"recipe": "none"}, "zoo") is None


def test_a_bundled_zoo_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pretrained" / "my-zoo").mkdir(parents=True)
    (tmp_path / "pretrained" / "my-zoo" / "zoo.json").write_text("{}")
    monkeypatch.setattr(zoo_lookup.resources, "files", lambda package: tmp_path)
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
    monkeypatch.setattr(zoo_lookup.resources, "files", lambda package: tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "zoo.json").write_text("{}")
    for name in (str(zoo_folder), "../outside", "..", ""):
        assert find_zoo(generator_of({"zoo": name}))[0] is None


def test_the_zoo_must_be_of_the_same_architecture(zoo_folder: Path, spec: ParameterSpec) -> None:
    assert len(open_zoo(zoo_folder, spec)) == 4
    other = TargetArchitecture("other", spec.architecture.build)
    with pytest.raises(CheckpointError, match="the generator makes 'other'"):
        open_zoo(zoo_folder, ParameterSpec(other))
