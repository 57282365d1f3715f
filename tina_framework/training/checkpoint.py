"""Checkpoint folders. A checkpoint is written completely or not at all, and it is verified before it is used.

A checkpoint folder holds model.safetensors, ema.safetensors, optimizer.safetensors, one rng-00000.safetensors for each
process, and state.json. The last file written is manifest.json, with the size and the SHA-256 hash of all others.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.files import read_json, read_safetensors, write_json, write_safetensors

__all__ = [
    "MANIFEST",
    "checkpoint_name",
    "find_latest",
    "finish",
    "list_checkpoints",
    "problem_with",
    "prune",
    "read_rng",
    "rng_tensors",
    "set_rng",
    "write_rng",
]

MANIFEST = "manifest.json"
_NAME = re.compile(r"step-\d{8}")


def checkpoint_name(step: int) -> str:
    """Return the name of a checkpoint folder, for example ``step-00001234``."""
    return f"step-{step:08d}"


def list_checkpoints(root: Path) -> list[Path]:
    """Return all folders with the name of a checkpoint, oldest first, whether they are complete or not."""
    return sorted(path for path in root.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())


def problem_with(folder: Path) -> str | None:
    """Return why a checkpoint cannot be used, or None if it is complete and unchanged."""
    if not (folder / MANIFEST).is_file():
        return f"it has no {MANIFEST}, so it was never finished"
    try:
        files = read_json(folder / MANIFEST)["files"]
        for name, expected in files.items():
            path = folder / Path(name).name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {expected['size']}"
            if _sha256(path) != expected["sha256"]:
                return f"{name} was changed"
    except (CheckpointError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    return None


def find_latest(root: Path) -> tuple[Path | None, list[str]]:
    """Return the newest usable checkpoint, and a sentence for each newer one that was skipped."""
    skipped: list[str] = []
    for folder in reversed(list_checkpoints(root)):
        reason = problem_with(folder)
        if reason is None:
            return folder, skipped
        skipped.append(f"Checkpoint '{folder}' is skipped: {reason}.")
    return None, skipped


def start_writing(root: Path, step: int) -> Path:
    """Create an empty folder for the checkpoint of `step`, and remove what earlier attempts left."""
    root.mkdir(parents=True, exist_ok=True)
    for old in [*root.glob(".step-*.partial"), *root.glob(".step-*.old")]:
        shutil.rmtree(old)
    folder = partial_folder(root, step)
    folder.mkdir()
    return folder


def partial_folder(root: Path, step: int) -> Path:
    """Return the folder in which the checkpoint of `step` is written before it gets its final name."""
    return root / f".{checkpoint_name(step)}.partial"


def write_rng(partial: Path, process: int) -> None:
    """Add this process's random state to a checkpoint that is being written.

    Raises:
        TrainingError: writing failed, for example on a full disk; earlier checkpoints are unchanged.
    """
    try:
        write_safetensors(partial / f"{rng_name(process)}.safetensors", rng_tensors())
    except OSError as error:
        raise _not_written(partial, error) from error


def _final(partial: Path) -> Path:
    return partial.with_name(partial.name.removeprefix(".").removesuffix(".partial"))


def _not_written(partial: Path, error: OSError) -> TrainingError:
    """Remove the unfinished checkpoint, and return the error to raise."""
    shutil.rmtree(partial, ignore_errors=True)
    return TrainingError(
        f"The checkpoint '{_final(partial)}' could not be written ({error}). Earlier checkpoints are unchanged. Free some "
        "disk space and resume."
    )


def finish(partial: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
    """Write the remaining files and the manifest, and rename the folder to its final name.

    Args:
        partial: the folder of `start_writing`, to which each process has added its random state.
        tensors: file name without suffix -> its tensors.
        state: JSON values for state.json.

    Returns:
        The final folder.

    Raises:
        TrainingError: writing failed, for example on a full disk; earlier checkpoints are unchanged.
    """
    final = _final(partial)
    try:
        for name, values in tensors.items():
            write_safetensors(partial / f"{name}.safetensors", values)
        write_json(partial / "state.json", state)
        files = {
            path.name: {"size": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(partial.iterdir())
        }
        write_json(partial / MANIFEST, {"format": "tina-training-checkpoint", "version": 1, "files": files})
        _sync_folder(partial)
        # The folder exists if it is damaged, or if training went back to an earlier checkpoint. A folder with files cannot
        # be replaced in one operation, so the old one is moved aside first. A crash in between loses only this one.
        if final.exists():
            replaced = partial.with_name(f".{final.name}.old")
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
            partial.rename(final)
            shutil.rmtree(replaced)
        else:
            partial.rename(final)
        _sync_folder(final.parent)
    except OSError as error:
        raise _not_written(partial, error) from error
    return final


def prune(root: Path, step: int, keep: int) -> None:
    """Remove all checkpoints but the newest `keep` up to `step`, which was just written.

    Checkpoints of later steps are removed, too: they are damaged, or the user resumed from an earlier one.
    """
    present = list_checkpoints(root)
    current = [folder for folder in present if folder.name <= checkpoint_name(step)]
    for folder in set(present) - set(current[-keep:]):
        shutil.rmtree(folder)


def rng_tensors() -> dict[str, Tensor]:
    """Return the state of torch's global random generators in this process."""
    tensors = {"torch_cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["torch_cuda"] = torch.cuda.get_rng_state()
    return tensors


def rng_name(process: int) -> str:
    """Return the name, without suffix, of the file with a process's random state."""
    return f"rng-{process:05d}"


def read_rng(folder: Path, process: int) -> dict[str, Tensor]:
    """Read the random state of a process.

    Raises:
        CheckpointError: the file is missing.
    """
    path = folder / f"{rng_name(process)}.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"Checkpoint '{folder}' has no random state for process {process}. Resume with as many processes as wrote it."
        )
    return read_safetensors(path)


def set_rng(tensors: Mapping[str, Tensor]) -> None:
    """Restore what `rng_tensors` returned.

    Raises:
        CheckpointError: the state of the CPU's generator is missing, or this machine has a GPU and its state is missing.
    """
    if "torch_cpu" not in tensors or (torch.cuda.is_available() and "torch_cuda" not in tensors):
        raise CheckpointError(
            "The checkpoint's random state lacks a generator of this machine. Resume on the same kind of device."
        )
    torch.set_rng_state(tensors["torch_cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["torch_cuda"])


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, so that names survive a power failure. Windows cannot sync folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
