"""Model folders: a `config.json` that states the format, and weights with their hashes. Folders are written atomically."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError, shorten
from tina_framework.storage.card import keep_edited_card
from tina_framework.storage.digest import HASHES, check_digest
from tina_framework.storage.exchange import put_in_place, restore_missing, retry_if_replaced
from tina_framework.storage.files import read_json
from tina_framework.storage.litter import is_litter
from tina_framework.storage.paths import real_path
from tina_framework.storage.temporary import is_temporary, sweep, temporary_folder

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "check_hash",
    "check_sha256",
    "check_target",
    "contents",
    "hashes",
    "holds_only",
    "is_folder_of",
    "read_config",
    "writing_folder",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def read_config(
    folder: Path,
    format_name: str,
    version: int,
    needs: str,
    *,
    file: str = CONFIG,
    version_key: str = "format_version",
) -> dict[str, Any]:
    """Read the settings in a folder's `config.json`, and check format and version.

    Args:
        folder: an existing folder.
        format_name: expected ``format``.
        version: expected ``format_version``.
        needs: the files that such a folder consists of, for the message.
        file: the file that holds the settings.
        version_key: the key of the version in it.

    Raises:
        CheckpointError: the folder lacks the file, or it states another format or version, or it was changed.
    """
    path = folder / file
    if not path.is_file():
        raise CheckpointError(f"'{folder}' has no {file}, so it is not a {format_name} folder, which needs {needs}.")
    values = read_json(path)
    found = values.get("format") if isinstance(values, Mapping) else None
    if found != format_name:
        says = f"its format is {shorten(found)}" if found is not None else "it states no format"
        raise CheckpointError(
            f"'{path}' does not belong to a {format_name} folder ({says}); such a folder needs {needs}."
        )
    if values.get(version_key) != version:
        raise CheckpointError(
            f"'{path}' has {version_key} {shorten(values.get(version_key))}, but this program reads version {version}; "
            "use the version of tina-framework that wrote it, or create it again."
        )
    check_digest(values, path)
    return dict(values)


def hashes(*paths: Path) -> dict[str, str]:
    """Return file name -> SHA-256, in hexadecimal."""
    found = {}
    for path in paths:
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def check_hash(path: Path, values: Mapping[str, Any], found: str | None = None) -> None:
    """Compare a file with the hash that the folder's `config.json` (`values`) records.

    Args:
        path: the file.
        values: the settings in `config.json`.
        found: the SHA-256 of the file if it is known; see `read_hashed`.

    Raises:
        CheckpointError: the file was altered, or no hash is recorded.
    """
    recorded = values.get(HASHES)
    if not isinstance(recorded, Mapping) or not isinstance(recorded.get(path.name), str):
        raise CheckpointError(
            f"'{path.with_name(CONFIG)}' records no SHA-256 of {path.name}; it was altered, or another program wrote it."
        )
    check_sha256(path, recorded[path.name], CONFIG, found)


def check_sha256(path: Path, expected: str, recorded_in: str, found: str | None = None) -> None:
    """Compare a file's SHA-256 with the recorded one.

    Args:
        path: the file.
        expected: its SHA-256, in hexadecimal.
        recorded_in: the file that records it, for the message.
        found: the SHA-256 of the file if it is known; see `read_hashed`.

    Raises:
        CheckpointError: the file was altered.
    """
    if (found or hashes(path)[path.name]) != expected:
        raise CheckpointError(
            f"'{path}' was altered (its SHA-256 is not the one that {recorded_in} records); restore or rebuild it."
        )


def is_folder_of(path: Path, format_name: str) -> bool:
    """Return whether `path` is a folder whose `config.json` states that format."""
    try:
        values = read_json(path / CONFIG)
    except CheckpointError:
        return False
    return isinstance(values, Mapping) and values.get("format") == format_name


def holds_only(path: Path, format_name: str, names: frozenset[str]) -> bool:
    """Return whether `path` is a folder of that format with no files besides `names`, so that it may be replaced.

    Files that operating systems leave do not count. They are removed with the folder.
    """
    return is_folder_of(path, format_name) and {entry.name for entry in contents(path)} <= names


def contents(path: Path) -> list[Path]:
    """Return what is in a folder, without the files that operating systems leave."""
    return [entry for entry in path.iterdir() if not is_litter(entry.name)]


@contextmanager
def writing_folder(path: Path, may_replace: Callable[[Path], bool], what: str) -> Iterator[Path]:
    """Yield an empty folder beside `path`. On success it takes the place of `path`; otherwise it is removed.

    Readers see the old folder or the new one at any time. What killed processes left beside `path` is removed. A model card
    that somebody edited is kept; see `tina_framework.storage.card`.

    Args:
        path: the folder to write.
        may_replace: returns whether an existing, non-empty folder may be replaced.
        what: what is written, for the message: ``classifier``.

    Raises:
        ConfigError: `path` holds something that may not be replaced, or it cannot be written. Nothing is changed then.
        OSError: it cannot be written, and it lies in a temporary folder.
    """
    shown = path  # messages show what the user gave
    try:
        path = real_path(path)  # a link to a folder stays a link
        path.parent.mkdir(parents=True, exist_ok=True)
        restore_missing(path)
        sweep(path)
        check_target(path, may_replace, what)
        with temporary_folder(path) as temporary:
            yield temporary
            # Checked again: writing may have taken long, and someone may have put something there.
            check_target(path, may_replace, what)
            keep_edited_card(path, temporary)
            put_in_place(temporary, path)
    except OSError as error:
        if is_temporary(path):  # this folder is part of a larger one, whose writer knows the name that the user gave
            raise
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(
            f"'{shown}' cannot be written ({reason}); choose another place or free some space."
        ) from error


def check_target(path: Path, may_replace: Callable[[Path], bool], what: str) -> None:
    """Check that a folder may be written. Call this before long work, so that the result can be saved.

    Raises:
        ConfigError: `path` is a file, or a non-empty folder that may not be replaced.
    """
    # Between two of the questions below, another writer may move the folder away and put a new one there.
    retry_if_replaced(path, lambda folder: _check_target(folder, may_replace, what))


def _check_target(path: Path, may_replace: Callable[[Path], bool], what: str) -> None:
    if path.is_dir():
        if contents(path) and not may_replace(path):
            raise ConfigError(
                f"'{path}' exists and is not a {what} folder (or holds other files besides); nothing was changed. "
                "Choose another place, or remove it first."
            )
    elif path.exists() or path.is_symlink():
        raise ConfigError(f"'{path}' exists and is not a folder; nothing was changed. Choose another place.")
