"""The files of a bench: ``bench.json``, which also holds what is needed to go on, and ``bench.md`` for readers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.bench.entries import BenchEntry
from tina_framework.evaluation.bench.tables import bench_markdown
from tina_framework.evaluation.results import write_together
from tina_framework.storage.files import read_json, to_json

__all__ = ["FILES", "FORMAT", "VERSION", "read_entries", "write_bench"]

FORMAT, VERSION = "tina-bench", 1
FILES = ("bench.json", "bench.md")


def read_entries(folder: Path, identity: Mapping[str, Any]) -> dict[str, BenchEntry]:
    """Return what an earlier run has measured: label of a method -> entry. Empty if there is no earlier run.

    Args:
        folder: the folder of the results.
        identity: what all methods of a bench must share: protocol, tasks, pictures, generator, zoo, teacher, version, machine.

    Raises:
        ConfigError: the earlier run measured something else.
        CheckpointError: its file is damaged.
    """
    path = folder / FILES[0]
    if not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict) or (value.get("format"), value.get("format_version")) != (FORMAT, VERSION):
        raise ConfigError(f"'{path}' is no result of this version of 'tina bench'; choose another folder with --out.")
    found = value.get("identity")
    other = sorted(key for key in identity if not isinstance(found, dict) or found.get(key) != identity[key])
    if other:
        raise ConfigError(
            f"'{folder}' holds a bench with another {' and '.join(other).replace('_', ' ')}, so its rows cannot be "
            "continued; choose another folder with --out."
        )
    entries = value.get("methods")
    if not isinstance(entries, list):
        raise CheckpointError(f"'{path}' is damaged: it has no list of methods; delete it, or choose another folder.")
    try:
        return {entry.result.label: entry for entry in map(BenchEntry.from_json, entries)}
    except CheckpointError as error:
        raise CheckpointError(f"'{path}': {error}; delete the file, or choose another folder.") from None


def write_bench(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write both files, or neither of them.

    Raises:
        ConfigError: the folder cannot be written.
    """
    write_together(folder, dict(zip(FILES, (to_json(summary), bench_markdown(summary)), strict=True)))
