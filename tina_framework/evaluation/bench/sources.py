"""What the argument of a method names: a folder or file with weights, which may have changed since a row was measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tina_framework.plugin.discovery import registries
from tina_framework.storage.paths import user_path

__all__ = ["source_digest"]

_LARGEST_READ = 10_000_000


def source_digest(argument: str | None) -> str:
    """Return a digest of the folder or file that an argument names, its place included; empty if it names none.

    Settings (JSON) are read, and name the weights by their hashes where a folder of this package holds them. Of weights
    (safetensors) and other files the size and the time of the last change count.

    Args:
        argument: the text behind ``@``: a path, or a registered name of a generator or zoo.
    """
    place = None if argument is None else _place(argument)
    if place is None:
        return ""
    folder = place if place.is_dir() else place.parent
    digest = hashlib.sha256(str(place.resolve()).encode("utf-8", "surrogateescape"))
    files = {*folder.glob("*.json"), *folder.glob("*.safetensors")} | ({place} if place.is_file() else set())
    for path in sorted(path for path in files if path.is_file()):
        state = path.stat()
        digest.update(f"\n{path.name} {state.st_size} ".encode("utf-8", "surrogateescape"))
        read = path.suffix == ".json" and state.st_size <= _LARGEST_READ
        digest.update(path.read_bytes() if read else str(state.st_mtime_ns).encode())
    return digest.hexdigest()


def _place(argument: str) -> Path | None:
    known = registries()
    for registry in (known.generators, known.zoos):
        if argument in registry:
            argument = str(registry.target(argument))
    place = user_path(argument)
    try:
        return place if place.exists() else None
    except (OSError, ValueError):  # a text that can be no path
        return None
