"""Paths that users give, and the folder for cached files."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "user_path"]


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path as users mean it: a leading ``~`` is their home folder.

    The path is unchanged if the system does not know the user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Return the folder for data that can be recomputed or fetched again: ``$TINA_CACHE``, or ``~/.cache/tina_framework``."""
    named = os.environ.get("TINA_CACHE")
    return user_path(named) if named else user_path("~") / ".cache" / "tina_framework"
