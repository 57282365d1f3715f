"""Get the files of ONNX Runtime Web, the program that runs networks in browsers. They are not part of this package.

They come from the npm package, whose digest is pinned here, and are kept in the cache folder.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from tina_framework.errors import ConfigError, DependencyError, DownloadError, shorten
from tina_framework.storage.files import replacing
from tina_framework.storage.paths import cache_folder, user_path

__all__ = ["PACKAGE", "VARIABLE", "VERSION", "runtime_files"]

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
VARIABLE = "TINA_ORT_WEB"
"""Environment variable that names the unpacked npm package, or its ``.tgz`` file, for machines without npm."""

_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""SHA-512 of the package, as the npm registry and lock files write it."""

_FILES = {
    # Some servers do not know the suffix .mjs, and browsers refuse modules without the type of JavaScript.
    "ort.js": ("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort.wasm": ("ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
}
"""Name here -> name in the folder ``dist`` of the package, and SHA-256."""

_LICENCES = {"LICENSE.txt": "LICENSE", "ThirdPartyNotices.txt": "ThirdPartyNotices.txt"}
"""Name here -> file of the Python package onnxruntime, which has the same licence. The npm package lacks them."""

_LONGEST_DOWNLOAD = 600.0
_LARGEST_FILE = 100_000_000


def runtime_files() -> dict[str, bytes]:
    """Return the contents of the files by their names: ``ort.js``, ``ort.wasm``, ``LICENSE.txt`` and ``ThirdPartyNotices.txt``.

    Raises:
        ConfigError: `VARIABLE` names something else than the package.
        DependencyError: npm is missing.
        DownloadError: npm could not fetch the package, or fetched another one.
    """
    given = os.environ.get(VARIABLE)
    files = _given(user_path(given)) if given else _cached() or _fetched()
    return files | _licences()


def _given(path: Path) -> dict[str, bytes]:
    advice = f"give the unpacked npm package {PACKAGE}, or its .tgz file."
    try:
        if path.is_dir():
            files = {}
            for name, (original, _) in _FILES.items():
                places = [path / original, path / "dist" / original, path / "package" / "dist" / original]
                files[name] = next((place for place in places if place.is_file()), places[1]).read_bytes()
        else:
            with path.open("rb") as archive:
                files = _unpacked(archive)
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise ConfigError(f"{VARIABLE} names '{path}', which cannot be used ({reason}); {advice}") from error
    for name, contents in files.items():
        if not _is_right(name, contents):
            raise ConfigError(
                f"{VARIABLE} names '{path}', whose {_FILES[name][0]} is not that of version {VERSION} (its SHA-256 differs); {advice}"
            )
    return files


def _cached() -> dict[str, bytes] | None:
    try:
        files = {name: (_cache() / name).read_bytes() for name in _FILES}
    except OSError:
        return None
    return files if all(_is_right(name, contents) for name, contents in files.items()) else None


def _fetched() -> dict[str, bytes]:
    otherwise = (
        f"or set {VARIABLE} to the package's folder or .tgz file, which 'npm pack {PACKAGE}' writes on another machine"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise DependencyError(
            f"Format 'web' needs the npm package {PACKAGE}, and the program npm is not installed; install Node.js, {otherwise}."
        )
    with tempfile.TemporaryDirectory(prefix="tina-npm-") as folder:
        _pack(npm, Path(folder), otherwise)
        archives = list(Path(folder).glob("*.tgz"))
        contents = archives[0].read_bytes() if archives else b""
        if base64.b64encode(hashlib.sha512(contents).digest()).decode() != _INTEGRITY:
            raise DownloadError(
                f"What npm fetched is not {PACKAGE} (its SHA-512 differs); check which registry npm uses, {otherwise}."
            )
        with archives[0].open("rb") as archive:
            files = _unpacked(archive)
    # Without a cache everything works, but is fetched each time.
    with contextlib.suppress(OSError):
        for name, part in files.items():
            with replacing(_cache() / name) as temporary:
                temporary.write_bytes(part)
    return files


def _pack(npm: str, folder: Path, otherwise: str) -> None:
    try:
        subprocess.run(
            [npm, "pack", PACKAGE, "--ignore-scripts", "--silent"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_DOWNLOAD,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        lines = [line for line in (said or "").splitlines() if line.strip()]
        reason = shorten(lines[0] if lines else type(error).__name__, 200)
        raise DownloadError(f"npm could not fetch {PACKAGE} ({reason}); check the connection, {otherwise}.") from error


def _unpacked(archive: IO[bytes]) -> dict[str, bytes]:
    """Return the files of the package. Nothing is written to the disk, so that paths in the archive do no harm.

    Raises:
        ValueError: a file is missing or too large.
        tarfile.TarError: it is no archive.
    """
    files = {}
    with tarfile.open(fileobj=archive, mode="r:gz") as package:
        for name, (original, _) in _FILES.items():
            try:
                member = package.getmember(f"package/dist/{original}")
            except KeyError:
                raise ValueError(f"it has no dist/{original}") from None
            part = package.extractfile(member) if member.isfile() and member.size <= _LARGEST_FILE else None
            if part is None:
                raise ValueError(f"its dist/{original} is not a file of usual size")
            files[name] = part.read()
    return files


def _is_right(name: str, contents: bytes) -> bool:
    return hashlib.sha256(contents).hexdigest() == _FILES[name][1]


def _cache() -> Path:
    return cache_folder() / f"onnxruntime-web-{VERSION}"


def _licences() -> dict[str, bytes]:
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
    folder = Path(spec.origin).parent
    try:
        return {name: (folder / original).read_bytes() for name, original in _LICENCES.items()}
    except OSError as error:
        raise DependencyError(
            f"The package onnxruntime lacks its file '{error.filename}', which must go with the page; install it again with pip."
        ) from error
