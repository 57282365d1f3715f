from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import HASHES, check_digest, renew_digest, with_digest
from tina_framework.storage.files import read_json, write_json

VALUES = {"class_names": ["apple", "bee"], "mean": [0.5, 1e-9], "table": {"b": 1, "a": None}, "text": "café 苹果"}


def written(folder: Path) -> Path:
    path = folder / "config.json"
    write_json(path, with_digest({**VALUES, HASHES: {"model.safetensors": "0" * 64}}, path.name))
    return path


def test_the_digest_survives_a_round_trip_and_another_layout(tmp_path: Path) -> None:
    path = written(tmp_path)
    check_digest(read_json(path), path)
    path.write_text(json.dumps(dict(reversed(list(read_json(path).items()))), indent=7))
    check_digest(read_json(path), path)
    assert renew_digest(path) is False


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ["bee", "apple"]},
        {"mean": [0.5, 1.1e-9]},
        {"table": {"b": True, "a": None}},
        {"text": "café"},
        {"more": 1},
        {HASHES: {}},
        {HASHES: 3},
        {HASHES: None},
    ],
)
def test_every_change_is_noticed_until_the_digest_is_renewed(tmp_path: Path, change: dict[str, object]) -> None:
    path = written(tmp_path)
    path.write_text(json.dumps(read_json(path) | change))
    with pytest.raises(CheckpointError, match=r"run `tina rehash"):
        check_digest(read_json(path), path)
    if change.get(HASHES, {}) != {}:
        with pytest.raises(CheckpointError, match="not a JSON object"):
            renew_digest(path)
    elif HASHES not in change or change[HASHES] is not None:
        assert renew_digest(path) is True
        check_digest(read_json(path), path)


def test_every_flipped_bit_is_noticed_or_without_effect(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole, values = path.read_bytes(), read_json(path)
    noticed = 0
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = read_json(path)
            check_digest(found, path)
        except CheckpointError:
            noticed += 1
        else:
            assert found == values  # a space that became another white space
    assert noticed > 7.5 * len(whole) - 8 * whole.count(b" ")


def test_what_has_no_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no digest"):
        check_digest({"a": 1}, tmp_path / "config.json")
