"""Folders elsewhere, such as buckets, through fsspec: whole files are fetched and sent, one at a time.

fsspec names a place by its protocol: ``s3://bucket/zoo``, ``gs://bucket/zoo``, ``memory://zoo``. It belongs to the extra
`remote`; protocols such as ``s3`` and ``gs`` need one more package (s3fs, gcsfs), which fsspec names. Nothing is listed or
unpickled, and only files whose names the caller knows are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, TinaError, shorten
from tina_framework.storage.files import replacing

__all__ = ["RemoteFolder", "remote_address"]

# A path that went through `pathlib` has one slash. A protocol has two letters or more, unlike a drive of Windows.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])(.*)", re.DOTALL | re.IGNORECASE)
_LOCAL = re.compile(r"(file|local):/+", re.IGNORECASE)
# Greedy: a password may contain an @.
_LOGIN = re.compile(r"(://)[^/]*@")
_PASSWORD = re.compile(r"://[^/@:]*:[^/]+@")
_BLOCK = 2**20


def remote_address(place: str | os.PathLike[str]) -> str | None:
    """Return the address of a remote folder, ``s3://bucket/zoo``, or None if `place` is a path of this machine.

    Raises:
        ConfigError: it is a folder of this machine, written as an address.
    """
    if _LOCAL.match(str(place)):
        # After `pathlib`, file:///zoo and file://zoo look alike, so this cannot be read as a path.
        raise ConfigError(
            f"{shorten(str(place))} is a folder of this machine. Write its path alone, without file:// before it."
        )
    found = _ADDRESS.fullmatch(str(place))
    return f"{found[1].lower()}://{found[2].rstrip('/')}" if found else None


class RemoteFolder:
    """A folder elsewhere.

    Args:
        address: with the protocol, as `remote_address` returns it.

    Attributes:
        shown: the address for messages, without a user's name and password.

    Raises:
        DependencyError: fsspec, or the package for the protocol, is not installed.
        ConfigError: no such protocol exists, the address is not valid, or it contains a password.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.shown = _LOGIN.sub(r"\1", address)
        # Addresses are written into generators and checkpoints, which people publish.
        if _PASSWORD.search(address):
            protocol = address.partition(":")[0].upper()
            raise ConfigError(
                f"The address of '{self.shown}' contains a password. Leave the login out, and put it where the package for the "
                f"protocol finds it, or into the environment as fsspec reads it (FSSPEC_{protocol}_USERNAME, "
                f"FSSPEC_{protocol}_PASSWORD)."
            )
        try:
            import fsspec
        except ImportError as error:
            raise DependencyError(
                f"'{self.shown}' is a remote folder, which needs the package fsspec. Install it with: "
                "pip install 'tina-framework[remote]'"
            ) from error
        try:
            _, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise DependencyError(f"'{self.shown}' needs one more package: {_reason(error)}.") from error
        except Exception as error:  # the libraries behind fsspec raise anything
            raise ConfigError(f"'{self.shown}' cannot be opened: {_reason(error)}. Check the address.") from error

    @property
    def _system(self) -> Any:
        """The file system. fsspec keeps one for each thread, because connections such as those of FTP cannot be shared."""
        import fsspec

        return fsspec.core.url_to_fs(self._address)[0]

    def exists(self, name: str) -> bool:
        """Return whether the folder has a file of this name.

        Raises:
            CheckpointError: the place cannot be reached, or access is denied.
        """
        return self._size(name) is not None

    def read(self, name: str, limit: int) -> bytes | None:
        """Return the contents of a small file, or None if it does not exist.

        Raises:
            CheckpointError: it has more than `limit` bytes; or as for `exists`.
        """
        size = self._size(name)
        if size is None:
            return None
        if size > limit:
            raise CheckpointError(f"'{self.shown}/{name}' has {size:,} bytes, but at most {limit:,} are allowed.")
        with self._errors(name):
            data = self._system.cat_file(self._path(name))
        return bytes(data)

    def fetch(self, name: str, target: Path, sha256: str | None = None) -> bool:
        """Copy a file to `target` unless it is there already. Processes of a machine copy each file once.

        Args:
            name: its name in the remote folder.
            target: where to put it, atomically.
            sha256: its recorded SHA-256. What arrives is compared with it before it is put in place.

        Returns:
            Whether the file exists.

        Raises:
            CheckpointError: what arrived is not what was recorded; or as for `exists`.
        """
        if target.is_file():
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f".{target.name}.lock")):
            if target.is_file():
                return True
            size = self._size(name)
            if size is None:
                return False
            with replacing(target) as temporary:
                digest, arrived = hashlib.sha256(), 0
                with (
                    self._errors(name),
                    self._system.open(self._path(name), "rb") as source,
                    temporary.open("wb") as file,
                ):
                    while block := source.read(_BLOCK):
                        file.write(block)
                        digest.update(block)
                        arrived += len(block)
                if arrived != size or sha256 not in (None, digest.hexdigest()):
                    raise CheckpointError(
                        f"'{self.shown}/{name}' was altered or is not complete: {arrived:,} bytes arrived, and their "
                        "SHA-256 is not the recorded one. Send the file again, or build the zoo again."
                    )
        return True

    def send(self, path: Path, name: str) -> None:
        """Copy the file at `path` to the remote folder, whole, unless an equal file is there already.

        Raises:
            CheckpointError: as for `exists`.
        """
        # A damaged file often keeps its size, so the contents are compared, too.
        if self._size(name) == path.stat().st_size and self._sha256(name) == _sha256_of(path):
            return
        with self._errors(name, "written"):
            target = self._path(name)
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(path), target)
        if self._size(name) != path.stat().st_size:
            raise CheckpointError(f"'{self.shown}/{name}' was not written completely. Run the same command again.")

    def _sha256(self, name: str) -> str:
        with self._errors(name), self._system.open(self._path(name), "rb") as source:
            digest = hashlib.sha256()
            while block := source.read(_BLOCK):
                digest.update(block)
            return digest.hexdigest()

    def _size(self, name: str) -> int | None:
        with self._errors(name):
            self._system.invalidate_cache()  # other processes write into the folder, too
            try:
                return int(self._system.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def _errors(self, name: str, done: str = "read") -> Iterator[None]:
        try:
            yield
        except TinaError:
            raise
        except PermissionError as error:
            raise CheckpointError(
                f"Access to '{self.shown}/{name}' is denied ({_reason(error)}). Check the credentials and their rights."
            ) from error
        except Exception as error:  # the libraries behind fsspec raise anything
            raise CheckpointError(
                f"'{self.shown}/{name}' cannot be {done} ({_reason(error)}). Check the address and the connection, and try "
                "again."
            ) from error


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
