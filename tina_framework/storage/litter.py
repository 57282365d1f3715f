"""Recognise the files that operating systems and file managers leave in folders."""

from __future__ import annotations

__all__ = ["is_litter"]

_NAMES = frozenset(
    {".ds_store", ".localized", ".directory", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"}
)


def is_litter(name: str) -> bool:
    """Return whether a system made this file or folder by itself, and makes it again when needed.

    Such entries hold nothing of the user's. They may be ignored, and removed together with the folder that holds them.
    """
    # macOS writes "._NAME" beside NAME on disks of other systems.
    return name.startswith("._") or name.casefold() in _NAMES
