"""Read text files that users or other programs wrote."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

__all__ = [
    "MAX_SETTINGS_BYTES",
    "MAX_TASK_FILE_BYTES",
    "MAX_TEXT_BYTES",
    "NotRegularError",
    "TooLargeError",
    "is_lfs_pointer",
    "open_regular",
    "read_bytes",
    "read_text",
]

MAX_TEXT_BYTES = 256 * 2**20
"""Default limit for text files in bytes. The largest one that this package writes, the index of a zoo, needs 300 bytes a model."""

MAX_TASK_FILE_BYTES = 16 * 2**20
"""Limit for the task files that users write, in bytes."""

MAX_SETTINGS_BYTES = 2**20
"""Limit for the settings files that users write, in bytes."""

_LFS = b"version https://git-lfs.github.com/spec/"


class NotRegularError(OSError):
    """The path is a folder, a pipe, a device or a socket."""


class TooLargeError(OSError):
    """The file has more bytes than the reader accepts."""


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading.

    A pipe or a device is refused, because reading it may never end.

    Raises:
        OSError: the file is missing or unreadable, or it is not a regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotRegularError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Read a regular file.

    Args:
        path: the file.
        limit: the greatest number of bytes to accept.

    Raises:
        OSError: as for `open_regular`; or the file has more than `limit` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise TooLargeError(errno.EFBIG, f"it has {size:,} bytes, but at most {limit:,} are allowed", str(path))
        return file.read()


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Line endings become newlines.

    Raises:
        OSError: as for `read_bytes`.
        ValueError: it is not UTF-8, or it is a pointer of Git LFS.
    """
    data = read_bytes(path, limit)
    if is_lfs_pointer(data):
        raise ValueError("it is a Git LFS pointer instead of the file itself; run `git lfs pull`")
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def is_lfs_pointer(source: bytes | IO[bytes] | Path) -> bool:
    """Return whether a file is a Git LFS pointer: a note of where the file itself is stored.

    Args:
        source: the contents, an open file, or the path of a regular file. False if it cannot be read.
    """
    if isinstance(source, bytes):
        return source.startswith(_LFS)
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return file.read(len(_LFS)) == _LFS
        source.seek(0)
        return source.read(len(_LFS)) == _LFS
    except (OSError, ValueError, AttributeError):  # also of an object that has `read` alone
        return False
