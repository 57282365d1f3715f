"""The Hub: generators are pushed, pulled and pinned, and every refusal is one sentence. A server on the loopback plays the Hub."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.fake_hub import ATTRIBUTES, READER, WRITER, FakeHub
from tina_framework.errors import CheckpointError, ConfigError, DownloadError
from tina_framework.generator.generator import Generator
from tina_framework.storage.card import CARD
from tina_framework.storage.hub import split_revision


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield server


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != CARD}


def push_folder(hub: FakeHub, folder: Path, repo: str = "owner/name", ref: str = "main") -> str:
    return hub.commit(repo, ref, {path.name: path.read_bytes() for path in folder.iterdir()})


def test_a_generator_is_pushed_and_pulled(tiny_generator: Generator, hub: FakeHub, tmp_path: Path) -> None:
    tiny_generator.save_pretrained(tmp_path / "saved")
    address = tiny_generator.push_to_hub("me/mine", private=True, commit_message="First")
    assert address == f"{hub.url}/me/mine/commit/{hub.repos['me/mine']['main']}"
    assert hub.private == {"me/mine"}
    assert hub.messages[hub.repos["me/mine"]["main"]] == "First"
    files = hub.files("me/mine")
    assert files.pop(".gitattributes") == ATTRIBUTES
    card = files.pop(CARD).decode()
    assert 'Generator.from_pretrained("me/mine")' in card
    assert files == contents(tmp_path / "saved")
    loaded = Generator.from_pretrained("me/mine", device="cpu", token=READER, cache_dir=tmp_path / "cache")
    assert loaded.name == "me/mine"
    assert loaded.config == tiny_generator.config
    assert loaded.folder is not None
    assert tmp_path / "cache" in loaded.folder.parents
    # A folder that the Hub's files were copied into can be replaced.
    (tmp_path / "saved" / ".gitattributes").write_bytes(ATTRIBUTES)
    loaded.save_pretrained(tmp_path / "saved")


def test_branches_and_pull_requests(tiny_generator: Generator, hub: FakeHub, tmp_path: Path) -> None:
    tiny_generator.push_to_hub("me/mine")
    first = hub.repos["me/mine"]["main"]
    tiny_generator.push_to_hub("me/mine", revision="v2", max_shard_size="20KB")
    tiny_generator.push_to_hub("me/mine", revision="v2", max_shard_size="30KB")
    assert tiny_generator.push_to_hub("me/mine", create_pr=True, card="by hand") == f"{hub.url}/me/mine/discussions/1"
    assert hub.repos["me/mine"]["main"] == first
    # Of the earlier shards, none is left.
    shards = {name for name in hub.files("me/mine", "v2") if name.startswith("model-")}
    assert {name.partition("-of-")[2] for name in shards} == {f"{len(shards):05d}.safetensors"}
    for name, revision in (("me/mine@v2", None), ("me/mine", "v2"), ("me/mine@refs/pr/1", None)):
        loaded = Generator.from_pretrained(name, revision, device="cpu", cache_dir=tmp_path)
        assert loaded.name == f"{name.partition('@')[0]}@{revision or name.partition('@')[2]}"
    assert hub.files("me/mine", "refs/pr/1")[CARD] == b"by hand"


def test_a_card_that_was_edited_on_the_hub_is_kept(tiny_generator: Generator, hub: FakeHub) -> None:
    tiny_generator.push_to_hub("me/mine")
    written = hub.files("me/mine")[CARD]
    tiny_generator.push_to_hub("me/mine", max_shard_size="20KB")
    assert hub.files("me/mine")[CARD] == written
    edited = written.replace(b"license: unknown", b"license: mit")
    hub.commit("me/mine", "main", {**hub.files("me/mine"), CARD: edited})
    tiny_generator.push_to_hub("me/mine")
    assert hub.files("me/mine")[CARD] == edited
    assert ModelCard(edited.decode()).data.license == "mit"


def test_configuration_and_weights_are_of_one_commit(tiny_folder: Path, hub: FakeHub, tmp_path: Path) -> None:
    sha = push_folder(hub, tiny_folder, ref="v1")
    hub.commit("owner/name", "main", {})
    Generator.from_pretrained("owner/name@v1", device="cpu", cache_dir=tmp_path)
    asked = [path for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path]
    assert asked[0].endswith("/config.json")
    assert all(f"/resolve/{sha}/" in path for path in asked)
    # What was downloaded is used again without the Hub.
    hub.asked.clear()
    Generator.from_pretrained("owner/name@v1", device="cpu", cache_dir=tmp_path, local_files_only=True)
    assert hub.asked == []


def test_a_broken_connection_is_continued(
    tiny_folder: Path, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_folder(hub, tiny_folder)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # it continues after whole chunks
    hub.cut = "model.safetensors"
    Generator.from_pretrained("owner/name", device="cpu", cache_dir=tmp_path)
    half = (tiny_folder / "model.safetensors").stat().st_size // 2 // 1000 * 1000
    assert f"bytes={half}-" in {asked for _, path, asked in hub.asked if path.endswith("/model.safetensors")}


@pytest.mark.parametrize("config", [None, b'{"model_type": "gpt2"}'])
def test_a_foreign_repository_is_refused_before_its_weights_come(
    hub: FakeHub, tmp_path: Path, config: bytes | None
) -> None:
    hub.commit(
        "owner/name", "main", {"model.safetensors": b"much"} | ({} if config is None else {"config.json": config})
    )
    with pytest.raises(CheckpointError, match=r"needs config\.json with format 'tina-generator' and model\.safet"):
        Generator.from_pretrained("owner/name", cache_dir=tmp_path)
    assert not any("/resolve/" in path and path.endswith("model.safetensors") for _, path, _ in hub.asked)


def test_refused_downloads(tiny_folder: Path, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str = "owner/name", revision: str | None = None, token: str | None = None) -> str:
        with pytest.raises(DownloadError) as caught:
            Generator.from_pretrained(name, revision, token=token, cache_dir=tmp_path)
        assert "\n" not in str(caught.value)
        assert "http" not in str(caught.value)
        return str(caught.value)

    push_folder(hub, tiny_folder)
    assert "'owner/other' is not a folder, and the Hub has no repository of that name that you may read" in refused(
        "owner/other"
    )
    assert "'owner/name' at revision 'v9' is not a folder, and its repository on the Hub has no such" in refused(
        revision="v9"
    )
    hub.gated.add("owner/name")
    assert "the Hub gives it only to people who have asked for access. Ask for it on its page" in refused()
    hub.gated.clear()
    hub.private.add("owner/name")
    monkeypatch.delenv("HF_TOKEN")
    assert "If it is private, log in with `hf auth login`, or give a token." in refused()
    with pytest.raises(DownloadError, match="was not downloaded before, and downloads are switched off"):
        Generator.from_pretrained("owner/name", local_files_only=True, cache_dir=tmp_path)


def test_refused_uploads(tiny_generator: Generator, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(repo: str = "me/mine", token: str | None = None) -> str:
        with pytest.raises(DownloadError) as caught:
            tiny_generator.push_to_hub(repo, token=token)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "'me/mine' could not be uploaded to the Hub: the token may not write there." in refused(token=READER)
    assert "the Hub does not know who you are. To write, log in with `hf auth login`, or" in refused(token="hf_wrong")
    assert "it is not a valid name" in refused("a b/c")
    assert "it is not a valid name" in refused("a/b/c")
    monkeypatch.delenv("HF_TOKEN")
    assert "the Hub does not know who you are" in refused()
    assert hub.repos == {}
    with pytest.raises(ConfigError, match="opened against the branch 'main', but the revision 'v2' is given too"):
        tiny_generator.push_to_hub("me/mine", revision="v2", create_pr=True)


@pytest.mark.parametrize("token", ["", "a\nb", "secr\u00e9t", 5])
def test_a_token_that_is_none_is_not_shown(tiny_generator: Generator, tmp_path: Path, token: Any) -> None:
    for call in (
        lambda: Generator.from_pretrained("owner/name", token=token, cache_dir=tmp_path),
        lambda: tiny_generator.push_to_hub("me/mine", token=token),
    ):
        with pytest.raises(ConfigError, match=r"^The token is empty, or has spaces, .*; copy it again\.$"):
            call()


def test_a_repository_that_is_no_text(tiny_generator: Generator) -> None:
    for repo in (None, Path("me/mine")):
        with pytest.raises(ConfigError, match="give its name as a text, 'owner/name'"):
            tiny_generator.push_to_hub(repo)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "body", "read", "write"),
    [
        (403, b"{}", "refuses to show it", "may not write there"),
        (429, b"{}", "Try again later", "Try again later"),
        (500, b"{}", "Try again later", "Try again later"),
        (200, b"<html>", "what answers is not a Hub", "what answers is not a Hub"),
        (200, b"{}", "what answers is not a Hub", "what answers is not a Hub"),
    ],
)
def test_a_server_that_does_not_answer_as_a_hub(
    tiny_generator: Generator, hub: FakeHub, tmp_path: Path, status: int, body: bytes, read: str, write: str
) -> None:
    hub.always = (status, body)
    with pytest.raises(DownloadError, match=read):
        Generator.from_pretrained("owner/name", cache_dir=tmp_path)
    with pytest.raises(DownloadError, match=write):
        tiny_generator.push_to_hub("me/mine")


def test_a_folder_of_downloads_that_cannot_be_written(tiny_folder: Path, hub: FakeHub, tmp_path: Path) -> None:
    push_folder(hub, tiny_folder)
    (tmp_path / "file").touch()
    with pytest.raises(
        DownloadError, match=r"could not be written to the folder of downloads \(.*\)\. Check that folder"
    ):
        Generator.from_pretrained("owner/name", cache_dir=tmp_path / "file")


def test_without_a_network(tiny_generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(
            DownloadError, match=r"could not be downloaded from the Hub \(.*\)\. Check the name and the"
        ):
            Generator.from_pretrained("owner/name", cache_dir=tmp_path)
        with pytest.raises(
            DownloadError, match=r"could not be uploaded to the Hub: .*Check the name and the connection"
        ):
            tiny_generator.push_to_hub("me/mine")


def test_offline_mode(tmp_path: Path) -> None:
    """The client reads its variable when it is imported, so this needs a process of its own."""
    script = (
        "from tina_framework import Generator\nfrom tina_framework.errors import DownloadError\n"
        "try:\n    Generator.from_pretrained('owner/name')\nexcept DownloadError as error:\n    print(error)\n"
        "from tina_framework.storage.hub import upload\nfrom pathlib import Path\n"
        "try:\n    upload(Path('.'), 'me/mine')\nexcept DownloadError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_TOKEN": WRITER}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    read, write = done.stdout.splitlines()
    assert "was not downloaded before, and downloads are switched off (local_files_only or HF_HUB_OFFLINE)." in read
    assert write.endswith("the environment variable HF_HUB_OFFLINE switches the network off. Unset it.")


def test_revisions_that_make_no_sense_are_refused(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="states the revision 'v1', but the revision 'v2' is given too"):
        Generator.from_pretrained("owner/name@v1", revision="v2")
    for name in ("cifar100-cnn", str(tiny_folder)):
        with pytest.raises(ConfigError, match="only models on the Hub"):
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
