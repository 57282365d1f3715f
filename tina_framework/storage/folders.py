"""Model folders: one `config.json` that says what they are, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.files import read_json

__all__ = [
    "CONFIG",
    "HASHES",
    "WEIGHTS",
    "check_hash",
    "check_sha256",
    "check_target",
    "hashes",
    "holds_only",
    "is_folder_of",
    "read_config",
    "writing_folder",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
HASHES = "sha256"
"""Key in `config.json`: file name -> SHA-256 of each tensor file, so that a changed weight is noticed too."""


def read_config(
    folder: Path,
    format_name: str,
    version: int,
    needs: str,
    *,
    file: str = CONFIG,
    version_key: str = "format_version",
) -> dict[str, Any]:
    """The settings in a folder's `config.json`, after checking that it is of our making.

    Args:
        folder: an existing folder.
        format_name: expected ``format``.
        version: expected ``format_version``.
        needs: what such a folder consists of, for the message.
        file: the file that holds the settings.
        version_key: the key of the version in it.

    Raises:
        CheckpointError: it is something else, or of another version.
    """
    path = folder / file
    if not path.is_file():
        raise CheckpointError(f"'{folder}' has no {file}, so it is no {format_name} folder; it needs {needs}.")
    values = read_json(path)
    found = values.get("format") if isinstance(values, Mapping) else None
    if found != format_name:
        says = f"its format is {found!r}" if found is not None else "it names no format"
        raise CheckpointError(
            f"'{path}' does not belong to a {format_name} folder ({says}); such a folder needs {needs}."
        )
    if values.get(version_key) != version:
        raise CheckpointError(
            f"'{path}' has {version_key} {values.get(version_key)!r}, but this program reads version {version}; "
            "use the version of tina-framework that wrote it, or make it anew."
        )
    return dict(values)


def hashes(*paths: Path) -> dict[str, str]:
    """File name -> SHA-256, in hexadecimal."""
    found = {}
    for path in paths:
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def check_hash(path: Path, values: Mapping[str, Any]) -> None:
    """Compares a file with what the folder's `config.json` (`values`) records of it.

    Raises:
        CheckpointError: it was altered, or is not recorded.
    """
    recorded = values.get(HASHES)
    if not isinstance(recorded, Mapping) or not isinstance(recorded.get(path.name), str):
        raise CheckpointError(
            f"'{path.with_name(CONFIG)}' records no SHA-256 of {path.name}; it was altered or made by something else."
        )
    check_sha256(path, recorded[path.name], CONFIG)


def check_sha256(path: Path, expected: str, recorded_in: str) -> None:
    """Compare a file's SHA-256 with the recorded one.

    Args:
        path: the file.
        expected: its SHA-256, in hexadecimal.
        recorded_in: the file that records it, for the message.

    Raises:
        CheckpointError: the file was altered.
    """
    if hashes(path)[path.name] != expected:
        raise CheckpointError(
            f"'{path}' was altered (its SHA-256 is not the one that {recorded_in} records); restore or rebuild it."
        )


def is_folder_of(path: Path, format_name: str) -> bool:
    """Whether `path` is a folder whose `config.json` names that format."""
    try:
        values = read_json(path / CONFIG)
    except CheckpointError:
        return False
    return isinstance(values, Mapping) and values.get("format") == format_name


def holds_only(path: Path, format_name: str, names: frozenset[str]) -> bool:
    """Whether `path` is a folder of that format with no other files than `names`: what may be replaced."""
    return is_folder_of(path, format_name) and {entry.name for entry in path.iterdir()} <= names


@contextmanager
def writing_folder(path: Path, may_replace: Callable[[Path], bool], what: str) -> Iterator[Path]:
    """Gives an empty folder beside `path`; on success it is renamed to `path`, else removed.

    Args:
        path: where the folder shall stand.
        may_replace: asked about an existing, non-empty folder.
        what: what is written, for the message: ``classifier``.

    Raises:
        ConfigError: `path` holds something that may not be replaced, or cannot be written; nothing is changed then.
    """
    path = path.resolve()
    check_target(path, may_replace, what)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written ({error.strerror}); choose another place.") from error
    try:
        yield temporary
        check_target(path, may_replace, what)
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise ConfigError(f"'{path}' could not be written ({error}); choose another place.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_target(path: Path, may_replace: Callable[[Path], bool], what: str) -> None:
    """Refuses a place that holds something else; ask before hours of work, not after.

    Raises:
        ConfigError: `path` is a file, or a non-empty folder that may not be replaced.
    """
    if path.is_dir():
        if any(path.iterdir()) and not may_replace(path):
            raise ConfigError(
                f"'{path}' exists and is not a {what} folder (or holds other files besides); it is left as it is. "
                "Choose another place, or remove it first."
            )
    elif path.exists() or path.is_symlink():
        raise ConfigError(f"'{path}' exists and is not a folder; it is left as it is. Choose another place.")
