"""Generators on the Hub: download, pinning, failures and upload."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError, ConfigError, DownloadError
from tina_framework.generator.generator import Generator
from tina_framework.generator.hub import split_revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub:
    """Stands for `huggingface_hub.snapshot_download`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[dict[str, Any]] = []

    def __call__(self, repo: str, **settings: Any) -> str:
        self.calls.append({"repo": repo, **settings})
        return str(self.folder)


def test_hub_ids_are_downloaded_and_pinned(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _Hub(Path(shutil.copytree(tiny_folder, tmp_path / COMMIT)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    loaded = Generator.from_pretrained("owner/name", revision="v1", local_files_only=True, device="cpu")
    assert loaded.name == "owner/name@v1"
    assert [call["revision"] for call in hub.calls] == ["v1", COMMIT]
    assert [call["allow_patterns"] for call in hub.calls] == [["config.json"], ["*.json", "*.safetensors", "*.md"]]
    assert all(call["repo"] == "owner/name" and call["local_files_only"] for call in hub.calls)


@pytest.mark.parametrize("config", [None, '{"model_type": "gpt2"}'])
def test_a_foreign_hub_repository_is_refused_before_its_weights_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    hub = _Hub(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    with pytest.raises(
        CheckpointError, match=r"needs config\.json with format 'tina-generator' and model\.safetensors"
    ):
        Generator.from_pretrained("ZexiLi/Tina")
    assert len(hub.calls) == 1


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **settings: Any) -> str:
        raise ConnectionError("no route to host\nand a long trace")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(
        DownloadError, match=r"'owner/name' at revision 'v2' is not a folder.*no route to host"
    ) as caught:
        Generator.from_pretrained("owner/name", revision="v2")
    assert "long trace" not in str(caught.value)
    with pytest.raises(DownloadError, match="was not downloaded before"):
        Generator.from_pretrained("owner/name", local_files_only=True)


def test_the_real_client_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="'owner/name' is not a folder"):
        Generator.from_pretrained("owner/name", local_files_only=True)


def test_push_uploads_the_folder(tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: dict[str, Any] = {}

    class Api:
        def __init__(self, token: str | None = None) -> None:
            uploaded["token"] = token

        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
            uploaded["private"] = private

        def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> str:
            uploaded["files"] = sorted(path.name for path in folder_path.iterdir())
            return f"address of {repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert tiny_generator.push_to_hub("me/mine", private=True) == "address of me/mine"
    assert uploaded["private"] is True
    assert uploaded["files"] == ["README.md", "config.json", "generic.safetensors", "model.safetensors"]

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise PermissionError("not logged in")

    monkeypatch.setattr(Api, "create_repo", refuse)
    with pytest.raises(DownloadError, match=r"could not be uploaded to the Hub \(not logged in\)"):
        tiny_generator.push_to_hub("me/mine")


def test_a_revision_can_be_part_of_the_name(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _Hub(Path(shutil.copytree(tiny_folder, tmp_path / COMMIT)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    for revision in (None, "refs/pr/1"):
        loaded = Generator.from_pretrained("owner/name@refs/pr/1", revision=revision, device="cpu")
        assert loaded.name == "owner/name@refs/pr/1"
    assert [(call["repo"], call["revision"]) for call in hub.calls] == [
        ("owner/name", "refs/pr/1"),
        ("owner/name", COMMIT),
    ] * 2


def test_revisions_that_make_no_sense_are_refused(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="states the revision 'v1', but the revision 'v2' is given too"):
        Generator.from_pretrained("owner/name@v1", revision="v2")
    for name in ("cifar100-cnn", str(tiny_folder)):
        with pytest.raises(ConfigError, match="only generators of the Hub"):
            Generator.from_pretrained(name, revision="v1")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("owner/name", ("owner/name", None)),
        ("owner/name@v1", ("owner/name", "v1")),
        ("name@v1", None),
        ("owner/name@", None),
        ("owner/name@a@b", None),
        ("owner/name@a b", None),
    ],
)
def test_names_with_revisions(name: str, parts: tuple[str, str | None] | None) -> None:
    assert split_revision(name) == parts
