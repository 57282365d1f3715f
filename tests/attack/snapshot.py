"""Compare folders: which files there are, and what is in them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

__all__ = ["differences", "take"]

_TIMES = {
    "seconds",
    "eta_seconds",
    "images_per_second",
    "sha256",
    "size",
    "recipe_sha256",
    "log_sha256",
    "log_size",
    "resume_from_checkpoint",
}
"""Keys of JSON objects that differ between equal results: times, how the run was called, and what depends on them."""

_LOCK = ".lock"
"""The lock file of a folder, or the end of that of a file. It stays there, and names the last process that held it."""

_LINE = re.compile(r'"(?:seconds|recipe_sha256|resume_from_checkpoint)": .*|<!-- Written by tina-framework.*')
"""Lines of JSON in a model card with such a key, and the last line, which has a hash of the whole text."""

_DURATION = re.compile(r"\d[\d.,]* (?:s|seconds|minutes|min)\b")


def take(root: Path) -> dict[str, str]:
    """Return relative path -> a digest of the contents, with the times in texts left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() and not path.is_symlink():
            found[name + "/"] = ""
        elif path.name.endswith(_LOCK):
            found[name] = ""
        else:
            found[name] = hashlib.sha256(_contents(path)).hexdigest()
    return found


def _contents(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json":
        return _canonical(data)
    if path.suffix == ".jsonl":
        return b"\n".join(_canonical(line) for line in data.splitlines())
    if path.suffix == ".md":
        return _DURATION.sub("TIME", _LINE.sub("", data.decode())).encode()
    return data


def _canonical(data: bytes) -> bytes:
    try:
        return json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
    except ValueError:
        return data


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in _TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Return a phrase for each path in which two folders differ."""
    phrases = [f"left over: {name}" for name in sorted(found.keys() - expected.keys())]
    phrases += [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    phrases += [
        f"other contents: {name}" for name in sorted(found.keys() & expected.keys()) if found[name] != expected[name]
    ]
    return phrases
