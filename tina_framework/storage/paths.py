"""Paths that users give, and the folder for cached files."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cache_folder", "real_path", "user_path", "utf8_path"]


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path as users mean it: a leading ``~`` is their home folder.

    The path is unchanged if the system does not know the user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def real_path(path: Path) -> Path:
    """Return the absolute path without symbolic links. The file need not exist.

    Raises:
        OSError: a link leads back to itself.
    """
    try:
        return path.resolve()
    except RuntimeError:  # Python 3.11 and 3.12
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


@contextlib.contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Yield a name of an existing file that is valid UTF-8, because safetensors opens no other one.

    On Linux a path may hold any bytes.
    """
    if _is_utf8(str(path)):
        yield path
        return
    with path.open("rb") as file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cache_folder() -> Path:
    """Return the folder for data that can be recomputed or fetched again: ``$TINA_CACHE``, or ``~/.cache/tina_framework``."""
    named = os.environ.get("TINA_CACHE")
    return user_path(named) if named else user_path("~") / ".cache" / "tina_framework"
