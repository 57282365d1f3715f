"""Put a new folder in the place of an old one, so that readers see one of them at any time."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tina_framework.errors import CheckpointError, TinaError
from tina_framework.storage.temporary import OLD, remove, replaced_folders, temporary_name

__all__ = ["put_in_place", "read_consistently", "restore_missing", "retry_if_replaced"]

T = TypeVar("T")

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS
_TRIES = 100


def put_in_place(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`. A folder that is there already is exchanged for it and then removed.

    Linux and macOS exchange two folders in one operation. Elsewhere the old one is moved aside first. If the process is
    killed in between, the next reader or writer of `path` puts the old one back; see `restore_missing`.

    Raises:
        OSError: the folder cannot be renamed. The old one is in its place then.
    """
    for _ in range(_TRIES):
        try:
            # A folder with files in it is never overwritten by a rename, so an old one shows as an error.
            new.rename(path)
            return
        except OSError as error:
            # Between the error and this line, another process may have moved the folder away, or put one there.
            occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not path.is_file()
            if not occupied and not (error.errno in (errno.EACCES, errno.EPERM) and path.is_dir()):
                raise
        try:
            if _exchange(new, path):
                remove(new)  # the old one, which has this name now
                return
            _replace_in_two_steps(new, path)
            return
        except FileNotFoundError:
            if not new.exists():
                raise
            # Another process moved the old folder away: try again.
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process put a folder there in between: exchange that one.
    raise OSError(errno.EBUSY, "other processes keep replacing it", str(path))


def _replace_in_two_steps(new: Path, path: Path) -> None:
    old = temporary_name(path, OLD)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        try:
            old.rename(path)
        except OSError:
            if path.exists():  # another process put one there, so the old one is no longer needed
                remove(old)
        raise
    remove(old)


@functools.cache
def _exchanger() -> Callable[[bytes, bytes], int] | None:
    """Return the system's function that exchanges two names, or None. It returns 0, or -1 with errno set."""
    try:
        library: Any = ctypes.CDLL(None, use_errno=True)
        if sys.platform.startswith("linux"):
            rename = library.renameat2  # glibc 2.28, musl 1.2.6
            return lambda a, b: int(rename(_AT_FDCWD, a, _AT_FDCWD, b, _RENAME_EXCHANGE))
        if sys.platform == "darwin":
            swap = library.renamex_np
            return lambda a, b: int(swap(a, b, _RENAME_SWAP))
    except (OSError, AttributeError, TypeError):
        pass
    return None


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one operation. False if the system or its file system cannot.

    Raises:
        OSError: a name is missing, or may not be changed.
    """
    exchange = _exchanger()
    if exchange is None:
        return False
    if exchange(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS):
        raise OSError(number, os.strerror(number), str(second))
    return False  # EINVAL, ENOSYS, ENOTSUP, EXDEV: not on this file system


def restore_missing(path: Path) -> None:
    """Put back a folder that a killed process had moved aside and not replaced. Does nothing if `path` exists."""
    # Unlike `Path.exists`, this raises nothing where the parent may not be read.
    if os.path.exists(path):  # noqa: PTH110
        return
    for old in replaced_folders(path):
        with contextlib.suppress(OSError):  # another reader may be faster
            old.rename(path)
            return


def read_consistently(folder: Path, read: Callable[[Path], T]) -> T:
    """Return ``read(folder)``. If the folder was replaced meanwhile and the reading failed, read again.

    Otherwise a reader could take the settings of the old folder and the weights of the new one, and call them altered.

    Raises:
        CheckpointError: the system does not let this user read the folder.
    """
    restore_missing(folder)
    try:
        return retry_if_replaced(folder, read)
    except PermissionError as error:
        raise CheckpointError(
            f"'{folder}' cannot be read ({error.strerror}). Give yourself the right to read it."
        ) from error


def retry_if_replaced(folder: Path, read: Callable[[Path], T]) -> T:
    """Return ``read(folder)``. Call it again if it raised and another process replaced the folder meanwhile.

    Raises:
        Exception: what `read` raised while the folder stayed the same.
    """
    for _ in range(_TRIES):
        before = _identity(folder)
        try:
            return read(folder)
        except (TinaError, OSError):
            if _identity(folder) == before:
                raise
            time.sleep(0.01)
    return read(folder)


def _identity(folder: Path) -> tuple[int, ...] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
