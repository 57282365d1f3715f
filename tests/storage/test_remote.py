"""Remote folders: whole files there and back, over fsspec's memory and over a real FTP server of this machine."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, TinaError
from tina_framework.storage.remote import RemoteFolder, remote_address


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("s3://bucket/zoo", "s3://bucket/zoo"), (Path("s3://bucket/zoo"), "s3://bucket/zoo"),
        ("memory://zoo/", "memory://zoo"), ("gs://b/a b", "gs://b/a b"), ("S3://B/Zoo", "s3://B/Zoo"), ("ftp://u:p@host:21/x", "ftp://u:p@host:21/x"),
        ("zoo", None), ("/zoo", None), ("C:/zoo", None), ("C:\\zoo", None), ("a:b", None), ("s3:", None), ("s3://", None),
        (Path("work") / "s3:" / "x", None), ("", None),
    ],
    ids=str,
)  # fmt: skip
def test_addresses_are_told_from_paths(place: str | Path, address: str | None) -> None:
    assert remote_address(place) == address


@pytest.mark.parametrize("place", ["file:///zoo", Path("file:///zoo"), "file://zoo", "FILE:/zoo", "local:///zoo"])
def test_folders_of_this_machine_are_no_addresses(place: str | Path) -> None:
    with pytest.raises(ConfigError, match="is a folder of this machine"):
        remote_address(place)


def test_a_password_with_an_at_sign_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="contains a password") as caught:
        RemoteFolder("ftp://me:p@ss:w@rd@127.0.0.1/zoo")
    assert "'ftp://127.0.0.1/zoo'" in str(caught.value)
    assert "w@rd" not in str(caught.value)
    assert "p@" not in str(caught.value)


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server with a folder that its user may write, and one that only may be listed; and its folder."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    root = tmp_path_factory.mktemp("ftp")
    (root / "closed").mkdir()
    authorizer = DummyAuthorizer()
    authorizer.add_user("me", "secret", str(root), perm="elradfmwMT")
    authorizer.override_perm("me", str(root / "closed"), "el", recursive=True)
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.05, "handle_exit": False}, daemon=True)
    thread.start()
    fsspec.config.conf["ftp"] = {"username": "me", "password": "secret"}
    yield f"ftp://127.0.0.1:{server.address[1]}", root
    del fsspec.config.conf["ftp"]
    server.close_all()
    thread.join(5)


@pytest.fixture(params=["memory", "ftp"])
def address(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://zoo"
    where: str = request.getfixturevalue("ftp")[0]
    return f"{where}/{request.node.name.split('[')[0]}"


def test_files_there_and_back(address: str, tmp_path: Path) -> None:
    folder, data = RemoteFolder(address), bytes(range(256)) * 8000
    (tmp_path / "one").write_bytes(data)
    assert not folder.exists("shards/one")
    assert folder.read("shards/one", 10) is None
    assert not folder.fetch("shards/one", tmp_path / "back" / "one")
    folder.send(tmp_path / "one", "shards/one")
    assert folder.exists("shards/one")
    assert folder.fetch("shards/one", tmp_path / "back" / "one", hashlib.sha256(data).hexdigest())
    assert (tmp_path / "back" / "one").read_bytes() == data
    assert folder.read("shards/one", len(data)) == data
    with pytest.raises(CheckpointError, match="has 2,048,000 bytes, but at most 10 are allowed"):
        folder.read("shards/one", 10)
    left = {path.name for path in (tmp_path / "back").iterdir()}
    assert left - {".one.lock"} == {"one"}


def test_a_file_that_is_half_written_is_refused_and_then_replaced(address: str, tmp_path: Path) -> None:
    folder, data = RemoteFolder(address), b"x" * 1000
    (tmp_path / "half").write_bytes(data[:400])
    (tmp_path / "whole").write_bytes(data)
    folder.send(tmp_path / "half", "one")
    with pytest.raises(CheckpointError, match="one' was altered or is not complete: 400 bytes arrived"):
        folder.fetch("one", tmp_path / "back", hashlib.sha256(data).hexdigest())
    assert not (tmp_path / "back").exists()
    folder.send(tmp_path / "whole", "one")
    assert folder.fetch("one", tmp_path / "back", hashlib.sha256(data).hexdigest())


def test_threads_have_their_own_connections(ftp: tuple[str, Path], tmp_path: Path) -> None:
    from tina_framework.storage.parallel import in_threads

    address, root = ftp
    (root / "many").mkdir()
    for number in range(12):
        (root / "many" / str(number)).write_bytes(bytes([number]) * 300_000)
    folder = RemoteFolder(f"{address}/many")
    assert all(in_threads(lambda number: folder.fetch(str(number), tmp_path / str(number)), range(12)))
    assert all((tmp_path / str(number)).read_bytes() == bytes([number]) * 300_000 for number in range(12))


def test_what_is_there_is_not_sent_or_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RemoteFolder("memory://zoo")
    (tmp_path / "one").write_bytes(b"abc")
    folder.send(tmp_path / "one", "one")
    monkeypatch.setattr(MemoryFileSystem, "put_file", lambda *_: pytest.fail("sent twice"))
    folder.send(tmp_path / "one", "one")
    monkeypatch.setattr(MemoryFileSystem, "open", lambda *_, **__: pytest.fail("fetched twice"))
    assert folder.fetch("one", tmp_path / "one", "0" * 64)


def test_threads_fetch_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened = RemoteFolder("memory://zoo"), []
    (tmp_path / "one").write_bytes(b"abc" * 10**6)
    folder.send(tmp_path / "one", "one")
    before = MemoryFileSystem.open

    def counted(*words: Any, **options: Any) -> Any:
        opened.append(words)
        return before(*words, **options)

    monkeypatch.setattr(MemoryFileSystem, "open", counted)
    threads = [threading.Thread(target=folder.fetch, args=("one", tmp_path / "back")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert (tmp_path / "back").read_bytes() == (tmp_path / "one").read_bytes()


@pytest.mark.parametrize("address", ["ftp://me:secret@127.0.0.1/zoo", "ftp://:secret@127.0.0.1/zoo"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(
        ConfigError, match=r"'ftp://127\.0\.0\.1/zoo' contains a password.*FSSPEC_FTP_PASSWORD"
    ) as caught:
        RemoteFolder(address)
    assert "secret" not in str(caught.value)


def test_denied_access_is_one_sentence_without_the_password(
    ftp: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, root = ftp
    (tmp_path / "one").write_bytes(b"abc")
    (root / "closed" / "two").write_bytes(b"abc")
    folder = RemoteFolder(f"{address}/closed")
    with pytest.raises(CheckpointError, match=r"one' cannot be written .*Check the address") as caught:
        folder.send(tmp_path / "one", "one")
    assert "secret" not in str(caught.value)
    with pytest.raises(CheckpointError, match="two' cannot be read"):
        folder.fetch("two", tmp_path / "two")
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"username": "me", "password": "wrong"})
    with pytest.raises(TinaError, match=r"ftp://127\.0\.0\.1:\d+'? ?.*cannot be (opened|read)") as caught:
        RemoteFolder(address).exists("one")
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("Forbidden"), "Access to 'memory://zoo/one' is denied .Forbidden.. Check the credentials"),
        (TimeoutError(), "'memory://zoo/one' cannot be read .TimeoutError.. Check the address and the connection"),
        (RuntimeError("No\nkey."), "'memory://zoo/one' cannot be read .No key.. Check"),
    ],
)
def test_errors_of_libraries_are_one_sentence(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, "info", fail)
    with pytest.raises(CheckpointError, match=words) as caught:
        RemoteFolder("memory://zoo").fetch("one", tmp_path / "one")
    assert "\n" not in str(caught.value)


def test_a_server_that_is_gone_is_one_sentence() -> None:
    with pytest.raises(TinaError, match=r"ftp://127\.0\.0\.1:9.* cannot be (opened|read).*[Rr]efused"):
        RemoteFolder("ftp://127.0.0.1:9/zoo").exists("one")


def test_missing_packages_and_protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="'nothing://x/y' cannot be opened"):
        RemoteFolder("nothing://x/y")

    def without_package(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without_package)
    with pytest.raises(DependencyError, match="'s3://x/y' needs one more package: Install s3fs to access S3"):
        RemoteFolder("s3://x/y")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DependencyError, match=r"pip install 'tina-framework\[remote\]'"):
        RemoteFolder("memory://zoo")


def test_a_damaged_file_of_equal_size_is_replaced(address: str, tmp_path: Path) -> None:
    remote, file = RemoteFolder(address), tmp_path / "file"
    file.write_bytes(b"damaged")
    remote.send(file, "shards/file")
    file.write_bytes(b"correct")
    remote.send(file, "shards/file")
    assert remote.read("shards/file", 100) == b"correct"
