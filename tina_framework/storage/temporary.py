"""Temporary files and folders beside the final one. Those of killed processes are recognised and removed.

Names are random: process ids repeat in containers. A writer holds a lock (`flock`) on what it writes, and the system
releases that lock when the process ends, however it ends. So a temporary file without a lock is a leftover.

Some shared file systems keep locks within each machine. So a name also tells its machine, and a file of another machine
must be an hour old to count as a leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "OLD",
    "PARTIAL",
    "is_temporary",
    "leftovers",
    "remove",
    "replaced_folders",
    "sweep",
    "sweep_folder",
    "temporary_file",
    "temporary_folder",
    "temporary_name",
]

PARTIAL = ".partial"
"""Suffix of what is being written."""

OLD = ".old"
"""Suffix of a folder that is moved aside while another one takes its place."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.partial", re.DOTALL)

_STALE_SECONDS = 24 * 3600.0
"""Age at which a temporary file counts as a leftover on systems without `flock`."""

_ELSEWHERE_SECONDS = 3600.0
"""Age at which a temporary file without a lock counts as a leftover if another machine wrote it."""


def temporary_name(path: Path, suffix: str = PARTIAL) -> Path:
    """Return a new name beside `path`: hidden, with four digits for this machine and eight random ones."""
    return path.with_name(f".{path.name}.{_machine()}{secrets.token_hex(4)}{suffix}")


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()) & 0xFFFF:04x}"


def _of_this_machine(path: Path) -> bool:
    # The last number is that of the writer: a temporary folder that is written may have one more in its name.
    return path.name.removesuffix(PARTIAL).rpartition(".")[2].startswith(_machine())


def is_temporary(path: Path) -> bool:
    """Return whether a path has the name of a temporary file or folder, or lies in such a folder."""
    return any(_TEMPORARY.fullmatch(part) for part in path.parts)


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, int]]:
    """Create an empty file beside `path`, and yield its name and a file descriptor. It is removed at the end if it exists.

    Its mode follows the umask, as that of any new file.
    """
    while True:
        temporary = temporary_name(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(temporary, flags, 0o666)
        except FileNotFoundError:
            # Another process may have just removed the folder because it was empty.
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(temporary, flags, 0o666)
        if _hold(handle, temporary):
            break
        os.close(handle)
    try:
        yield temporary, handle
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Create an empty folder beside `path`, and yield its name. The folder of that name is removed at the end."""
    while True:
        temporary = temporary_name(path)
        temporary.mkdir()
        handle = os.open(temporary, os.O_RDONLY) if fcntl else None
        if handle is None or _hold(handle, temporary):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        if handle is not None:
            os.close(handle)
        remove(temporary)


def _hold(handle: int, path: Path) -> bool:
    """Lock what was just created. False if another process took it for a leftover, so that a new name is needed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def leftovers(path: Path) -> list[Path]:
    """Return what killed writers of `path` left beside it."""
    return [found for found in _beside(path, PARTIAL) if _abandoned(found)]


def sweep(path: Path) -> None:
    """Remove what killed writers of `path` left beside it, and folders that were already replaced."""
    for found in leftovers(path):
        remove(found)
    if path.exists():
        for old in replaced_folders(path):
            remove(old)


def sweep_folder(folder: Path) -> None:
    """Remove what killed writers left in a folder, whatever they wrote. Temporary files of living writers stay."""
    try:
        with os.scandir(folder) as entries:
            found = [folder / entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    except OSError:
        return
    for path in found:
        if _abandoned(path):
            remove(path)


def replaced_folders(path: Path) -> list[Path]:
    """Return the folders that were moved aside to make room for a new `path`, the newest first."""
    return sorted(_beside(path, OLD), key=lambda old: old.stat().st_ctime_ns if old.exists() else 0, reverse=True)


def _beside(path: Path, suffix: str) -> list[Path]:
    # A temporary folder may be written with another one beside it, whose name has one more dot and one more number.
    pattern = re.compile(rf"(\.+){re.escape(path.name)}((?:\.[0-9a-f]{{12}}{re.escape(suffix)})+)")
    try:
        with os.scandir(path.parent) as entries:
            found = [match for entry in entries if (match := pattern.fullmatch(entry.name))]
    except OSError:
        return []
    return [path.with_name(match[0]) for match in found if len(match[1]) == match[2].count(suffix)]


def _abandoned(path: Path) -> bool:
    """Return whether no living process writes `path`."""
    try:
        if fcntl is None:
            return time.time() - path.stat().st_mtime > _STALE_SECONDS
        if not _of_this_machine(path) and time.time() - path.stat().st_mtime < _ELSEWHERE_SECONDS:
            return False
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False  # it is gone, or it is not ours to remove
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def remove(path: Path) -> None:
    """Remove a temporary file or folder. What cannot be removed stays, because it does no harm."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
