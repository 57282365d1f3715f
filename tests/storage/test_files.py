from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tina_framework.errors import CheckpointError
from tina_framework.storage.files import (
    check_tensors,
    read_digested,
    read_hashed,
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


def test_numbers_of_numpy_and_paths_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(
        path,
        {"seed": np.int64(3), "mean": np.float32(0.5), "flag": np.bool_(True), "loss": torch.tensor(2.0), "file": path},
    )
    assert read_json(path) == {"seed": 3, "mean": 0.5, "flag": True, "loss": 2.0, "file": str(path)}
    for bad in (np.zeros(2), np.float32("nan"), {1, 2}):
        with pytest.raises((TypeError, ValueError)):
            write_json(path, {"bad": bad})
    assert read_json(path)["seed"] == 3
    write_json(path, {"name of a file": "\udc80 é"})
    assert read_json(path) == {"name of a file": "\udc80 é"}


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[Infinity]", '{"b": {"a": 1, "a": 1}}'])
def test_json_that_others_read_differently_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "value.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"appears twice|JSON has no"):
        read_json(path)


def test_a_byte_order_mark_is_accepted_and_a_pointer_explained(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}
    path.write_text(POINTER)
    for read in (read_json, read_safetensors, read_hashed, read_digested):
        with pytest.raises(CheckpointError, match="Git LFS pointer"):
            read(path)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 21000\n"
TENSORS = {"b": torch.arange(5.0), "a": torch.ones(2, 3, dtype=torch.float16), "n": torch.tensor([1, 2])}


def test_equal_contents_give_equal_files(tmp_path: Path) -> None:
    texts = {name: f"{name} é\n" for name in "zyxwvutsrq"}
    for number in range(8):
        order = dict(sorted(texts.items(), reverse=bool(number % 2)))
        write_safetensors(tmp_path / f"{number}.safetensors", TENSORS, order, digest=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert torch.equal(load_file(tmp_path / "0.safetensors")["a"], TENSORS["a"])
    assert read_metadata(tmp_path / "0.safetensors")["q"] == "q é\n"


def test_the_digest_in_the_header_shows_every_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, TENSORS, {"entry": "7"}, digest=True)
    tensors, texts = read_digested(path)
    assert texts == {"entry": "7"}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            read_digested(path)


def test_a_header_without_metadata_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, TENSORS)
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    for metadata in (None, {}):  # the library takes null, too
        header = json.dumps({**json.loads(data[8:end]), "__metadata__": metadata}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])
        assert read_safetensors(path).keys() == TENSORS.keys()
        with pytest.raises(CheckpointError, match="was altered"):
            read_digested(path)


def test_the_hash_is_that_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, TENSORS)
    with pytest.raises(CheckpointError, match="was altered"):
        read_digested(path)  # written without a digest
    tensors, sha256 = read_hashed(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"")
    assert torch.equal(tensors["b"], TENSORS["b"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int16, torch.int8, torch.uint8, torch.bool])
def test_files_are_those_of_safetensors(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {
        "b": torch.tensor([0.0, 1.0, 3.0]).to(dtype),
        "scalar": torch.tensor(2.0),
        "empty": torch.zeros(0, 4, dtype=torch.float16),
        "a": torch.arange(6).reshape(2, 3).t(),
    }
    write_safetensors(tmp_path / "ours", tensors, {"format": "pt"})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_type_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="complex128"):
        write_safetensors(tmp_path / "file", {"a": torch.zeros(1, dtype=torch.complex128)})
    assert list(tmp_path.iterdir()) == []
