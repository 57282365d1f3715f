"""Tensors that processes share: equal values, one copy in memory, and nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from tina_framework.errors import TrainingError
from tina_framework.storage import shared_tensors
from tina_framework.storage.shared_tensors import SharedTensors, shared

TENSORS = {
    "a": torch.arange(7, dtype=torch.int64),
    "b": torch.randn(3, 1, 5),
    "half": torch.randn(4, 3).to(torch.bfloat16),
    "flag": torch.tensor([True, False]),
    "none": torch.empty(0, 3),
    "one": torch.tensor(2.5),
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_tensors_are_equal_and_the_file_may_go(tmp_path: Path) -> None:
    with shared(TENSORS) as place:
        assert Path(place.path).stat().st_mode & 0o777 == 0o600
        found = pickle.loads(pickle.dumps(place)).open()
    assert list(tmp_path.iterdir()) == []
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_change_stays_in_its_process() -> None:
    with shared({"a": torch.zeros(3)}) as place:
        one, two = place.open()["a"], place.open()["a"]
        one += 1
        assert torch.equal(two, torch.zeros(3))
        assert torch.equal(place.open()["a"], torch.zeros(3))


def test_a_file_that_is_gone_or_cut_is_an_error_of_the_system() -> None:
    with shared({"a": torch.zeros(300)}) as place:
        os.truncate(place.path, 8)
        with pytest.raises(OSError, match="has 8 bytes instead of 1200"):
            place.open()
    with pytest.raises(FileNotFoundError):
        place.open()


def test_nothing_at_all_can_be_shared() -> None:
    with shared({}) as place:
        assert place.open() == {}


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, tensors: object) -> SharedTensors:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared_tensors, "_write", full)
    with pytest.raises(TrainingError, match=r"cannot be written to .*No space left.*set TMPDIR"), shared(TENSORS):
        pass
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_user_pass_unchanged() -> None:
    with pytest.raises(OSError, match="mine"), shared(TENSORS):
        raise OSError("mine")


KILLED = """
import os, signal, sys, tempfile
import torch
from tina_framework.storage.shared_tensors import shared
tempfile.tempdir = sys.argv[1]
with shared({"a": torch.ones(100)}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no flock")
def test_the_file_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with shared({"a": torch.ones(1)}) as first, shared({"a": torch.ones(1)}) as second:
        assert {path.name for path in tmp_path.iterdir()} == {Path(first.path).name, Path(second.path).name}
    assert list(tmp_path.iterdir()) == []


READER = """
import json, re, sys
from pathlib import Path
import torch
from tina_framework.storage.shared_tensors import SharedTensors

def private():
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: +([0-9]+)", text, re.M)[1]) * 1024

place = SharedTensors(**json.loads(sys.argv[1]))
torch.ones(1000).sum()
before = private()
tensor = place.open()["a"]
total = float(tensor.sum())
print(json.dumps([total, private() - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads the memory of processes from /proc")
def test_readers_hold_no_copy() -> None:
    """Every page was read, so it counts as resident, but all are pages of the file and no process has its own copy."""
    size = 64 * 2**20
    with shared({"a": torch.ones(size // 4)}) as place:
        words = json.dumps({"path": place.path, "places": place.places, "size": place.size})
        readers = [
            subprocess.Popen([sys.executable, "-c", READER, words], stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        found = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    for total, held in found:
        assert total == size // 4
        assert held < size // 4
