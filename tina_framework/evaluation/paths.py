"""Paths as results and messages may show them, without the folders of this machine."""

from __future__ import annotations

from pathlib import Path

from tina_framework.storage.paths import user_path

__all__ = ["without_folders"]


def without_folders(spec: str) -> str:
    """Return a path or ``name:PATH`` with an absolute path cut down to its last part.

    Results are published, so they must not reveal names of users and folders. A path below the home folder (``~``) is absolute.
    A relative path is not changed.
    """
    name, colon, argument = spec.partition(":")
    if colon and user_path(argument).is_absolute():
        return f"{name}:{Path(argument).name}"
    return Path(spec).name if user_path(spec).is_absolute() else spec
