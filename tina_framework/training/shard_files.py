"""The tensors of a checkpoint of sharded weights: every process writes and reads its own part.

torch.distributed.checkpoint (DCP) plans who writes what, and its storage classes for Hugging Face files write safetensors, with the
place of each part in the header. DCP's usual files contain a pickle, which this package never reads or writes.

The names of tensors are FILE/NAME, with the FILE that a checkpoint without sharding would have: ``ema/condition.weight``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.folders import hashes
from tina_framework.training.sharding import local

__all__ = ["check_visible", "holds_shards", "read_parts", "read_whole", "write_parts"]

_PREFIX = "shard-"
_FILE_BYTES = 2**30
"""How much of a process's part one file holds. Writing needs memory for one file besides the part itself."""


def holds_shards(files: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint with these files holds sharded weights."""
    return any(name.startswith(_PREFIX) for name in files)


def check_visible(folder: Path) -> None:
    """Check that this process sees a folder that the main process uses.

    Raises:
        CheckpointError: it does not.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"'{folder}' is not on this machine. Checkpoints of sharded weights need an output_dir that all machines share."
        )


def write_parts(folder: Path, tensors: Mapping[str, Tensor], process: int) -> dict[str, str]:
    """Write this process's part of all tensors. All processes must call this, with the same names.

    Args:
        folder: an empty folder that all processes see.
        tensors: FILE/NAME -> tensor, sharded or the same in all processes.
        process: number of this process.

    Returns:
        Name -> SHA-256 of the files that this process wrote.

    Raises:
        TrainingError: some process could not write.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder), _file_numbers(tensors), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer)
    except CheckpointException as error:
        raise TrainingError(
            f"The checkpoint '{folder}' could not be written ({_reason(error)}). Earlier checkpoints are unchanged. "
            "Free some disk space and resume."
        ) from error
    return hashes(*folder.glob(f"{_PREFIX}{process + 1:05d}-*.safetensors"))


def read_parts(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read this process's part of all tensors, in place. All processes must call this, with the same names.

    Any number of processes may have written the files.

    Args:
        folder: the checkpoint, in a folder that all processes see.
        tensors: FILE/NAME -> the tensor to fill, sharded or not.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
    """
    _load(folder, tensors, alone=False)


def read_whole(folder: Path, file: str) -> dict[str, Tensor]:
    """Read whole tensors, in this process alone.

    Args:
        folder: the checkpoint.
        file: the FILE of the tensors.

    Returns:
        Name -> tensor, on the CPU.

    Raises:
        CheckpointError: a file is damaged.
    """
    from safetensors import SafetensorError
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    try:
        described = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"Checkpoint '{folder}' is damaged ({error}). Resume from another checkpoint.") from error
    tensors: dict[str, Tensor] = {}
    for name, entry in described.items():
        if name.startswith(f"{file}/"):
            known: Any = entry
            tensors[name] = torch.empty(known.size, dtype=known.properties.dtype)
    _load(folder, tensors, alone=True)
    return {name.removeprefix(f"{file}/"): tensor for name, tensor in tensors.items()}


def _load(folder: Path, tensors: Mapping[str, Tensor], alone: bool) -> None:
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # meant so, if this process reads alone
            load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=alone)
    except CheckpointException as error:
        raise CheckpointError(
            f"Checkpoint '{folder}' cannot be read ({_reason(error)}). Resume from another checkpoint."
        ) from error


def _file_numbers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number of the file for each tensor, from 1. The first process's answer counts for all."""
    numbers, number, size = {}, 1, 0
    for name, tensor in tensors.items():
        size += local(tensor).nbytes
        if size > _FILE_BYTES:
            number, size = number + 1, local(tensor).nbytes
        numbers[name] = number
    return numbers


def _reason(error: Any) -> str:
    """Return the first line of what some process reported."""
    first: BaseException = next(iter(error.failures.values()))[0]
    lines = str(first).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(first).__name__
