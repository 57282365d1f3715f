"""Tensors read one at a time: same values as the library reads, and every damage is one sentence."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError
from tina_framework.storage import tensor_file
from tina_framework.storage.files import read_safetensors, write_safetensors
from tina_framework.storage.folders import hashes
from tina_framework.storage.tensor_file import TensorFile

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.randn(5),
    "half": torch.randn(4).half(),
    "none": torch.empty(0),
    "number": torch.tensor(3, dtype=torch.int64),
}


@pytest.fixture(autouse=True, params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files are small, which are read once, or count as large, which are hashed piece by piece first."""
    if request.param == "large":
        monkeypatch.setattr(tensor_file, "_SMALL_BYTES", 0)
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_safetensors(tmp_path / "t.safetensors", TENSORS, {"text": "words"})
    return tmp_path / "t.safetensors"


def opened(path: Path) -> TensorFile:
    return TensorFile(path, hashes(path)[path.name], "index.json")


def test_tensors_are_those_that_were_written(path: Path) -> None:
    file, stored = opened(path), read_safetensors(path)
    for names in (list(TENSORS), ["b"], ["number", "a"], ["a", "b"], []):
        found = file.read(names)
        assert len(found) == len(names)
        for name, tensor in zip(names, found, strict=True):
            assert tensor.dtype == stored[name].dtype
            assert torch.equal(tensor, stored[name])
    assert file.verify().metadata == {"text": "words"}
    with pytest.raises(KeyError):
        file.read(["nothing"])


def test_a_tensor_keeps_no_larger_part_of_the_file_in_memory(path: Path) -> None:
    (tensor,) = opened(path).read(["b"])
    assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_a_file_is_hashed_once_until_it_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(path), []
    monkeypatch.setattr(file, "_check", found.append)
    for _ in range(3):
        file.read(["a"])
    assert len(found) == 1
    path.write_bytes(path.read_bytes())  # the same contents, at another time
    file.read(["a"])
    assert len(found) == 2


def test_threads_wait_for_one_hash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(path), []
    monkeypatch.setattr(file, "_check", found.append)
    threads = [threading.Thread(target=file.read, args=(["a"],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_another_file_is_refused(path: Path) -> None:
    file = opened(path)
    write_safetensors(path, TENSORS | {"a": torch.zeros(2, 3)})
    with pytest.raises(CheckpointError, match=r"was altered .*index\.json records"):
        file.read(["a"])
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        file.read(["a"])
    path.mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        file.read(["a"])


HEADERS = {
    "longer than the file": (1 << 40).to_bytes(8, "little"),
    "empty": b"",
    "a list": b"[]",
    "not JSON": b"{",
    "deep": b"[" * 100_000,
    "a tensor that is a number": b'{"a": 3}',
    "an unknown type": b'{"a": {"dtype": "F7", "shape": [1], "data_offsets": [0, 4]}}',
    "no place": b'{"a": {"dtype": "F32", "shape": [1]}}',
    "a place behind the end": b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}',
    "a place before the beginning": b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
    "a place of another size": b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}',
    "a negative shape": b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
    "a huge shape": b'{"a": {"dtype": "F32", "shape": [9007199254740993], "data_offsets": [0, 4]}}',
    "a shape of text": b'{"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}}',
    "texts of numbers": b'{"__metadata__": {"a": 1}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_says_nonsense_is_one_sentence(tmp_path: Path, name: str) -> None:
    head = HEADERS[name]
    data = head if len(head) == 8 else len(head).to_bytes(8, "little") + head + bytes(8)
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        opened(tmp_path / "x.safetensors").read(["a"])


def test_a_header_as_the_library_writes_it(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(3)}, tmp_path / "x.safetensors", {"key": json.dumps([1])})
    file = opened(tmp_path / "x.safetensors")
    assert torch.equal(file.read(["x"])[0], torch.ones(3))
    assert file.verify().metadata == {"key": "[1]"}
