"""The files of a bench: written together, and continued only if they hold the same bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.bench.test_tables import SUMMARY
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.bench.files import FILES, read_entries, write_bench

IDENTITY = SUMMARY["identity"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_entries(tmp_path, IDENTITY) == {}
    write_bench(tmp_path / "out", SUMMARY)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    found = read_entries(tmp_path / "out", IDENTITY)
    assert [entry.to_json() for entry in found.values()] == SUMMARY["methods"]
    assert list(found) == ["selection", "tina", "mine"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"format": "other"}, ConfigError, "no result of this version"),
        ({"identity": {**IDENTITY, "pictures": "others"}}, ConfigError, "with another pictures, so its rows"),
        ({"identity": None}, ConfigError, "holds a bench with another"),
        ({"methods": None}, CheckpointError, "has no list of methods"),
        ({"methods": [{}]}, CheckpointError, "an entry of a method is damaged"),
    ],
)
def test_another_bench_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    (tmp_path / FILES[0]).write_text(json.dumps({**SUMMARY, **changes}))
    with pytest.raises(error, match=message):
        read_entries(tmp_path, IDENTITY)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_bench(tmp_path / "file" / "out", SUMMARY)
