"""Let only one process write into a folder that grows: a zoo, or the folder of a training run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from tina_framework.errors import ConfigError
from tina_framework.storage.text import read_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "folder_lock", "holder_of", "is_held"]

LOCK = ".lock"
"""Name of the lock file in a folder. It stays there; only its lock is released, also when the process is killed."""

_POLL_SECONDS = 0.2
_LARGEST_NOTE = 10_000


@contextlib.contextmanager
def folder_lock(
    folder: Path,
    use: str,
    *,
    timeout: float = 0.0,
    notify: Callable[[str], None] = lambda text: None,
    name: str = LOCK,
) -> Iterator[None]:
    """Hold the lock of a folder. The folder is created if needed.

    Args:
        folder: the folder to write into.
        use: what this process does with the folder, for messages of others: ``builds a zoo``.
        timeout: how many seconds to wait for another process.
        notify: called once, with a sentence, when this process has to wait.
        name: name of the lock file, where several processes share the work in one folder.

    Raises:
        ConfigError: another process holds the lock, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be created ({error.strerror}); choose another folder.") from error
    place = folder / name
    _check_lock_file(place)
    # Not a singleton: two runs in two threads of one process must exclude each other, too.
    lock = filelock.FileLock(place, is_singleton=False, thread_local=False)
    try:
        _acquire(lock, folder, name, timeout, notify)
    except OSError as error:
        raise ConfigError(
            f"'{folder}' cannot be locked ({error.strerror or error}); choose a folder that you can write into."
        ) from error
    try:
        _write_holder(place, use)
        yield
    finally:
        lock.release()


def _check_lock_file(place: Path) -> None:
    """Check that a lock file is missing or a regular file. Anything else was put there by somebody."""
    if place.is_symlink() or (os.path.lexists(place) and not place.is_file()):
        raise ConfigError(
            f"'{place}' is a link, a folder or a special file, but it has to be the lock file of its folder. Remove it."
        )


def _acquire(
    lock: filelock.BaseFileLock, folder: Path, name: str, timeout: float, notify: Callable[[str], None]
) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except filelock.Timeout:
        pass
    if timeout > 0:
        notify(f"'{folder}' is in use: {holder_of(folder, name)}. Waiting up to {timeout:g} s for it.")
    try:
        lock.acquire(timeout=timeout, poll_interval=_POLL_SECONDS)
    except filelock.Timeout:
        raise ConfigError(
            f"'{folder}' is in use: {holder_of(folder, name)}. Wait until that process has ended, or choose another folder."
        ) from None


def _write_holder(path: Path, use: str) -> None:
    """Note in the lock file who holds it. The note is for people: the lock itself is the system's."""
    note = {
        "use": use,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with contextlib.suppress(OSError):  # Windows lets nobody write into a locked file
        # On file systems without locks, filelock keeps its own marker in the file.
        if not path.stat().st_size or path.read_text(encoding="utf-8").startswith('{"use"'):
            path.write_text(json.dumps(note), encoding="utf-8")


def is_held(folder: Path, name: str = LOCK) -> bool:
    """Return whether a living process holds the lock of a folder. Windows cannot tell: False."""
    if fcntl is None:
        return False
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(handle)
    return False


def holder_of(folder: Path, name: str = LOCK) -> str:
    """Return words for the process that last held the lock of a folder: ``process 12 on host builds a zoo (since ...)``."""
    try:
        note = json.loads(read_text(folder / name, _LARGEST_NOTE))
        return f"process {int(note['process'])} on {str(note['host'])[:80]!r} {str(note['use'])[:80]} since {str(note['since'])[:20]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process writes into it"
