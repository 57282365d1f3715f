"""The folder that a zoo is built in: what may be there already, and what killed builds leave."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tina_framework.errors import ConfigError, TrainingError, shorten
from tina_framework.storage.folders import contents
from tina_framework.storage.temporary import sweep_folder
from tina_framework.zoo.index import INDEX
from tina_framework.zoo.manifest import GENERIC, MANIFEST

__all__ = [
    "PARTIAL_GENERIC",
    "check_place",
    "clean",
    "is_begun",
    "naming_the_zoo",
    "remove_empty_models",
    "remove_other_widths",
]

PARTIAL_GENERIC = "generic.partial.safetensors"
"""The state of a generic model that is not finished."""

_NARROW_GENERIC = re.compile(r"generic-[0-9.e+-]+\.safetensors")
_FILES = re.compile(rf"{re.escape(GENERIC)}|{_NARROW_GENERIC.pattern}|{re.escape(PARTIAL_GENERIC)}|{re.escape(INDEX)}")
_INSIDE = {"models": re.compile(r"\d{6,}\.safetensors"), "shards": re.compile(r"shard-\d{5,}\.safetensors")}


def check_place(folder: Path) -> None:
    """Check that a zoo may be built in a folder: it is new or empty, or it holds a zoo. Nothing is changed.

    Raises:
        ConfigError: it is a file, or it holds something else.
    """
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise ConfigError(f"'{folder}' is not a folder; choose another place for the zoo.")
        return
    if (folder / MANIFEST).is_file():
        return
    for path in sorted(contents(folder)):
        if not _may_be_there(path):
            raise ConfigError(
                f"'{folder}' holds {shorten(path.name)} but no zoo.json, so it is not a zoo; nothing was changed. "
                "Choose a new or empty folder for the zoo."
            )


def _may_be_there(path: Path) -> bool:
    if path.is_dir():
        inside = _INSIDE.get(path.name)
        return inside is not None and all(
            inside.fullmatch(entry.name) or entry.name.startswith(".") for entry in path.iterdir()
        )
    return path.name.startswith(".") or _FILES.fullmatch(path.name) is not None


def is_begun(folder: Path) -> bool:
    """Return whether a folder holds anything that a build continues from."""
    return any((folder / name).is_file() for name in (MANIFEST, GENERIC, PARTIAL_GENERIC))


def clean(folder: Path) -> None:
    """Remove what killed builds left. What living processes write stays, so this is safe at any time."""
    for place in (folder, folder / "models", folder / "shards"):
        sweep_folder(place)
    if (folder / MANIFEST).is_file():
        (folder / PARTIAL_GENERIC).unlink(missing_ok=True)


def remove_other_widths(folder: Path, wanted: Collection[str]) -> None:
    """Remove the generic models of narrower widths whose file names are not `wanted`: an earlier build began them."""
    for path in folder.glob("generic-*"):
        if _NARROW_GENERIC.fullmatch(path.name) and path.name not in wanted:
            path.unlink()


def remove_empty_models(folder: Path) -> None:
    """Remove the folder of unfinished models if it is empty."""
    with contextlib.suppress(OSError):
        (folder / "models").rmdir()


_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of writing. Such an error has no file name if the file was open already."""


@contextlib.contextmanager
def naming_the_zoo(folder: Path) -> Iterator[None]:
    """Name the zoo in errors of the file system, instead of a temporary file inside it."""
    try:
        yield
    except OSError as error:
        inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(folder)
        if not inside and error.errno not in _WRITE_ERRORS:
            raise
        raise TrainingError(
            f"'{folder}' cannot be written ({error.strerror or error}). Everything finished is kept: make it writable or "
            "free some space, and run the same command again."
        ) from error
