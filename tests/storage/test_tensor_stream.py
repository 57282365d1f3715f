"""Reading safetensors files tensor by tensor. `test_files` has the errors that users see."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tina_framework.storage.files import parse_json
from tina_framework.storage.tensor_stream import DTYPES, LfsPointerError, read_tensors


def test_it_reads_what_safetensors_writes(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    tensors = {
        dtype: torch.tensor([[0, 1], [1, 0], [1, 1]]).to(getattr(torch, dtype.removeprefix("torch.")))
        for dtype in DTYPES
    }
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "large": torch.randn(700, 1001)}
    save_file(tensors, path, {"format": "pt"})
    read, sha256 = read_tensors(path, parse_json)
    assert list(read) == sorted(tensors)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, tensor in load_file(path).items():
        assert torch.equal(read[name], tensor)
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert read[name].is_contiguous()


def test_each_tensor_may_be_converted_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_file({"a": torch.ones(3), "b": torch.zeros(2)}, path)
    seen = []

    def convert(name: str, tensor: torch.Tensor) -> torch.Tensor:
        seen.append(name)
        return tensor.to(torch.bfloat16)

    read, sha256 = read_tensors(path, parse_json, convert)
    assert seen == ["a", "b"]
    assert {tensor.dtype for tensor in read.values()} == {torch.bfloat16}
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def _file(path: Path, header: Any, body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ([], "not an object"),
        ({"a": 1}, "describes 'a' wrongly"),
        ({"a": {**ENTRY, "dtype": "F4"}}, "describes 'a' wrongly"),
        ({"a": {**ENTRY, "dtype": []}}, "describes 'a' wrongly"),
        ({"a": {**ENTRY, "shape": [-2]}}, "invalid shape"),
        ({"a": {**ENTRY, "shape": [True, 2]}}, "invalid shape"),
        ({"a": {**ENTRY, "shape": [3]}}, "size of its shape"),
        ({"a": {**ENTRY, "shape": [2**62, 0], "data_offsets": [0, 0]}}, "instead of 0"),
        ({"a": {**ENTRY, "data_offsets": [4, 12]}}, "does not follow"),
        ({"a": ENTRY, "b": ENTRY}, "does not follow"),
        ({}, "8 bytes of tensors instead of 0"),
        ({"a": {**ENTRY, "shape": [4], "data_offsets": [0, 16]}}, "8 bytes of tensors instead of 16"),
        ({"a": ENTRY, "b": {**ENTRY, "shape": [2**63, 0], "data_offsets": [8, 8]}}, "impossible shape"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: Any, sentence: str) -> None:
    path = _file(tmp_path / "file", header, b"\0" * 8)
    with pytest.raises(ValueError, match=sentence):
        read_tensors(path, parse_json)


def test_a_pointer_of_git_lfs_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 21000\n")
    with pytest.raises(LfsPointerError):
        read_tensors(tmp_path / "file", parse_json)


@given(st.binary(max_size=200))
def test_no_bytes_give_another_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(data)
    try:
        read_tensors(path, parse_json)
    except ValueError:
        return
    assert load_file(path) is not None
