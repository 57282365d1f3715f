from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import CheckpointError
from tina_framework.storage.files import (
    check_tensors,
    read_json,
    read_metadata,
    read_safetensors,
    replacing,
    write_json,
    write_safetensors,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON.filter(lambda value: "\\ud" not in json.dumps(value)))
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "deep" / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_text(encoding="utf-8").endswith("\n")


@pytest.mark.parametrize("bad", [math.nan, math.inf, object()])
def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"new": bad})
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1,]"])
def test_unreadable_json_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        read_json(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_json(tmp_path / "missing.json")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        read_json(tmp_path)


def test_safetensors_round_trip_with_views_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "weights.safetensors"
    base = torch.arange(12.0).reshape(3, 4)
    # Views that share memory, a transposed one and a parameter: all must be written as they look.
    tensors = {"a": base, "b": base.t(), "c": base[1:], "d": torch.nn.Parameter(base[0]), "e": torch.tensor([1, 2])}
    write_safetensors(path, tensors, {"commit": "abc"})
    read = read_safetensors(path)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype
    assert read_metadata(path) == {"commit": "abc"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("damage", ["truncate", "header", "empty"])
def test_damaged_safetensors_are_one_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {"a": torch.zeros(100)})
    whole = path.read_bytes()
    path.write_bytes({"truncate": whole[:-10], "header": b"\xff" * 16 + whole[16:], "empty": b""}[damage])
    for read in (read_safetensors, read_metadata):
        with pytest.raises(CheckpointError, match="truncated or altered"):
            read(path)
        with pytest.raises(CheckpointError, match="does not exist"):
            read(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "The folder lacks a, b; it was altered"),
        ({"a": torch.zeros(2)}, "lacks b;"),
        ({"a": torch.zeros(2), "b": torch.zeros(1), "x": torch.zeros(1)}, "has unknown x;"),
        ({"a": torch.zeros(2), "x": torch.zeros(1)}, "lacks b and has unknown x;"),
        ({"a": torch.zeros(3), "b": torch.zeros(1)}, r"'a' has shape \(3,\), expected \(2,\)"),
        ({"a": torch.zeros(2), "b": torch.tensor([math.nan])}, "'b' holds values that are not finite"),
        ({"a": torch.tensor([0.0, -math.inf]), "b": torch.zeros(1)}, "'a' holds values that are not finite"),
    ],
)
def test_check_tensors_refuses(tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        check_tensors(tensors, {"a": (2,), "b": (1,)}, "The folder")


def test_check_tensors_accepts_what_is_expected() -> None:
    check_tensors({"a": torch.zeros(2), "b": torch.tensor([1])}, {"a": (2,), "b": (1,)}, "The folder")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000])
def test_json_beyond_the_limits_of_python_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "value.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        read_json(path)
