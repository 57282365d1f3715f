"""Zoos in remote folders: read through a cache on this machine, and built in a folder of this machine file by file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.digest import HASHES
from tina_framework.storage.files import replacing
from tina_framework.storage.paths import cache_folder
from tina_framework.storage.remote import RemoteFolder
from tina_framework.storage.text import MAX_TEXT_BYTES
from tina_framework.zoo.index import INDEX
from tina_framework.zoo.manifest import GENERIC, MANIFEST, read_manifest

__all__ = ["RemoteTransfer", "cached_zoo", "working_folder"]


def cached_zoo(address: str) -> tuple[Path, Callable[[str, str], None]]:
    """Fetch the manifest, the index and the generic model of a remote zoo into a folder of this machine.

    Generic models of narrower widths and shards are fetched when they are read. The folder is named after the contents of manifest and index, which record the SHA-256 of all other files. So a zoo
    that is built anew gets another folder, and what was fetched of an equal one is used again.

    Returns:
        The folder, and a function that fetches a file: it takes the name and the recorded SHA-256.

    Raises:
        CheckpointError: there is no zoo, the place cannot be reached, or access is denied.
        ConfigError, DependencyError: as for `RemoteFolder`.
    """
    remote = RemoteFolder(address)
    manifest = remote.read(MANIFEST, MAX_TEXT_BYTES)
    if manifest is None:
        raise CheckpointError(f"'{remote.shown}' is not a zoo: it has no zoo.json. Build one with `tina zoo build`.")
    small = {MANIFEST: manifest, INDEX: remote.read(INDEX, MAX_TEXT_BYTES)}
    digest = hashlib.sha256()
    for data in small.values():
        digest.update(hashlib.sha256(data or b"").digest())
    folder = cache_folder() / "zoos" / digest.hexdigest()[:32] / _name(address)
    for name, data in small.items():
        if data is not None and not (folder / name).is_file():
            with replacing(folder / name) as temporary:
                temporary.write_bytes(data)

    def fetch(name: str, sha256: str) -> None:
        if not remote.fetch(name, folder / name, sha256):
            raise CheckpointError(
                f"The zoo '{remote.shown}' lacks {name}. Restore it, or run the same `tina zoo build` again."
            )

    try:
        recorded = read_manifest(folder).values[HASHES].get(GENERIC)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(folder), remote.shown)) from error
    fetch(GENERIC, str(recorded))
    return folder, fetch


def working_folder(address: str) -> Path:
    """Return the folder of this machine in which a zoo for a remote address is built."""
    return cache_folder() / "zoo-builds" / hashlib.sha256(address.encode()).hexdigest()[:32] / _name(address)


class RemoteTransfer:
    """Keeps the finished files of a build in a remote folder; see `file_transfer.FileTransfer`.

    Args:
        address: the remote folder.
        folder: the folder of this machine that the build works in; see `working_folder`.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.folder = folder
        self._remote = RemoteFolder(address)
        self._equal: dict[Path, tuple[int, int]] = {}  # file -> size and time, when both places had the same contents

    def fetch(self, path: Path) -> None:
        """Put the file at `path` if it is missing there and exists in the remote folder.

        Raises:
            ConfigError: the remote folder holds another zoo than the one that this machine was building for it.
            CheckpointError: the place cannot be reached, or access is denied.
        """
        name = path.relative_to(self.folder).as_posix()
        if name == MANIFEST and path.is_file():
            theirs = self._remote.read(name, MAX_TEXT_BYTES)
            if theirs not in (None, path.read_bytes()):
                raise ConfigError(
                    f"'{self._remote.shown}' holds another zoo than '{self.folder}', where this machine was building for it. "
                    "Remove the folder of this machine, or choose another remote folder."
                )
        was_here = path.is_file()
        if self._remote.fetch(name, path) and not was_here:
            self._equal[path] = _state(path)

    def send(self, path: Path) -> None:
        """Copy the file at `path` to the remote folder, unless it is there already."""
        # Comparing contents reads the remote file, so each file is compared once.
        if self._equal.get(path) != _state(path):
            self._remote.send(path, path.relative_to(self.folder).as_posix())
            self._equal[path] = _state(path)


def _state(path: Path) -> tuple[int, int]:
    """Return the size and the time of a file, which change when it is replaced."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _name(address: str) -> str:
    """Return the last part of an address as the name of a folder of this machine."""
    name = re.sub(r"[^\w.-]", "_", PurePosixPath(address).name)
    return name if name.strip(".") else "zoo"
