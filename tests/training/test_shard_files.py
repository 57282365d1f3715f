"""Files of sharded weights, in one process. `test_sharding` has those of several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.folders import hashes
from tina_framework.training import shard_files
from tina_framework.training.shard_files import check_visible, holds_shards, read_parts, read_whole, write_parts

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # one process writes alone here

TENSORS = {
    "model/weight": torch.arange(12.0).reshape(3, 4),
    "model/bias": torch.arange(3.0),
    "ema/weight": -torch.arange(12.0).reshape(3, 4),
    "optimizer/weight/step": torch.tensor(7.0),
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_parts(tmp_path, TENSORS, 0)
    assert written == hashes(*tmp_path.iterdir())
    assert list(written) == ["shard-00001-model-00001-of-00001.safetensors"]
    assert holds_shards(written)
    assert not holds_shards({"model.safetensors": {}, "rng-00000.safetensors": {}})
    empty = {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}
    read_parts(tmp_path, empty)
    assert all(torch.equal(empty[name], tensor) for name, tensor in TENSORS.items())
    whole = read_whole(tmp_path, "model")
    assert whole.keys() == {"weight", "bias"}
    assert torch.equal(whole["weight"], TENSORS["model/weight"])
    assert read_whole(tmp_path, "optimizer").keys() == {"weight/step"}


def test_no_file_is_a_pickle(tmp_path: Path) -> None:
    write_parts(tmp_path, TENSORS, 0)
    for path in tmp_path.iterdir():
        with safe_open(path, framework="pt") as file:
            assert set(file.keys()) <= TENSORS.keys()


def test_large_parts_are_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_files, "_FILE_BYTES", 50)
    assert len(write_parts(tmp_path, TENSORS, 0)) > 1
    assert torch.equal(read_whole(tmp_path, "ema")["weight"], TENSORS["ema/weight"])


def test_damage_and_other_shapes_are_refused(tmp_path: Path) -> None:
    [name] = write_parts(tmp_path, TENSORS, 0)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_parts(tmp_path, {"model/other": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_parts(tmp_path, {"model/bias": torch.zeros(4)})
    (tmp_path / name).write_bytes(b"short")
    with pytest.raises(CheckpointError, match="is damaged"):
        read_whole(tmp_path, "model")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_parts(tmp_path, {"model/bias": torch.zeros(3)})


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TrainingError, match=r"could not be written .*Earlier checkpoints are unchanged"):
        write_parts(tmp_path / "file", TENSORS, 0)


def test_a_folder_of_another_machine_is_named(tmp_path: Path) -> None:
    check_visible(tmp_path)
    with pytest.raises(CheckpointError, match="need an output_dir that all machines share"):
        check_visible(tmp_path / "elsewhere")
