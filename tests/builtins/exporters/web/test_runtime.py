"""The files of ONNX Runtime Web: from npm, from the cache, or given by hand; and nothing else is ever taken for them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.builtins.exporters.web.conftest import CONTENTS, FakePackage, archive_of
from tina_framework.builtins.exporters.web import runtime
from tina_framework.config.environment import VARIABLES
from tina_framework.errors import ConfigError, DependencyError, DownloadError

NAMES = {"ort.js", "ort.wasm", "LICENSE.txt", "ThirdPartyNotices.txt"}
ARCHIVE_NAME = "onnxruntime-web-1.30.0.tgz"

posix = pytest.mark.skipif(os.name != "posix", reason="the false npm is a shell script")


def give(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv(runtime.VARIABLE, str(path))


def put_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a false npm in front of all other programs."""
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_variable_is_known() -> None:
    assert runtime.VARIABLE in VARIABLES


@pytest.mark.parametrize("place", ["", "dist", "..", "../package.tgz"])
def test_a_package_given_by_hand(place: str, fake_package: FakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, fake_package.folder / place)
    files = runtime.runtime_files()
    assert files.keys() == NAMES
    assert files["ort.wasm"] == CONTENTS["ort-wasm-simd-threaded.wasm"]
    assert b"MIT License" in files["LICENSE.txt"]


def test_another_version_is_refused(fake_package: FakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, fake_package.folder)
    (fake_package.folder / "dist" / "ort-wasm-simd-threaded.wasm").write_bytes(b"\0asm, but newer")
    with pytest.raises(ConfigError, match=r"ort-wasm-simd-threaded.wasm is not that of version 1\.30\.0"):
        runtime.runtime_files()


def test_what_is_no_package_is_refused(
    fake_package: FakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "package.txt"
    text.write_text("no archive", encoding="utf-8")
    incomplete = tmp_path / "incomplete.tgz"
    incomplete.write_bytes(archive_of({"ort.wasm.bundle.min.mjs": b""}))
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(fake_package.archive.read_bytes()[:-40])
    for path in (tmp_path / "absent", tmp_path, text, incomplete, cut):
        give(monkeypatch, path)
        with pytest.raises(
            ConfigError, match=r"cannot be used \(.*give the unpacked npm package onnxruntime-web@1\.30\.0"
        ):
            runtime.runtime_files()


def test_links_in_an_archive_are_refused(
    fake_package: FakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as package:
        for name in CONTENTS:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            package.addfile(member)
    path = tmp_path / "links.tgz"
    path.write_bytes(made.getvalue())
    give(monkeypatch, path)
    with pytest.raises(ConfigError, match="is not a file of usual size"):
        runtime.runtime_files()


@posix
def test_npm_is_asked_once(fake_package: FakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(
        tmp_path / "bin",
        f'echo "$@" >> {tmp_path}/calls\ncp {fake_package.archive} {ARCHIVE_NAME}',
        monkeypatch,
    )
    first = runtime.runtime_files()
    assert runtime.runtime_files() == first
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert [call.split()[:2] for call in calls] == [["pack", "onnxruntime-web@1.30.0"]]
    kept = tmp_path / "cache" / "onnxruntime-web-1.30.0"
    assert sorted(path.name for path in kept.iterdir()) == ["ort.js", "ort.wasm"]

    (kept / "ort.wasm").write_bytes(b"damaged")
    assert runtime.runtime_files() == first
    assert len((tmp_path / "calls").read_text(encoding="utf-8").splitlines()) == 2


@posix
def test_a_cache_that_cannot_be_written_does_no_harm(
    fake_package: FakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path / "bin", f"cp {fake_package.archive} {ARCHIVE_NAME}", monkeypatch)
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert runtime.runtime_files().keys() == NAMES


@posix
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", r"npm could not fetch .*ENOTFOUND.*TINA_ORT_WEB"),
        (f"echo other > {ARCHIVE_NAME}", r"What npm fetched is not onnxruntime-web@1\.30\.0 .*TINA_ORT_WEB"),
        ("true", r"What npm fetched is not"),
    ],
)
def test_npm_fails(
    script: str, message: str, fake_package: FakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(DownloadError, match=message):
        runtime.runtime_files()
    assert not (tmp_path / "cache").exists()


def test_without_npm(fake_package: FakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    with pytest.raises(DependencyError, match=r"npm is not installed; install Node\.js, or set TINA_ORT_WEB"):
        runtime.runtime_files()
