"""Checkpoint folders. A checkpoint is written completely or not at all, and it is verified before it is used.

A checkpoint folder holds model.safetensors, ema.safetensors, optimizer.safetensors, one rng-00000.safetensors for each
process, and state.json. With sharded weights, `shard_files` writes the first three, as files of each process. The last file written is manifest.json, with the size and the SHA-256 hash of all others, and a
digest of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, TrainingError, shorten
from tina_framework.storage.digest import check_digest, with_digest
from tina_framework.storage.exchange import put_in_place, restore_missing
from tina_framework.storage.files import read_hashed, read_json, write_json, write_safetensors
from tina_framework.storage.temporary import remove, sweep, temporary_folder, temporary_name

__all__ = [
    "FORMAT",
    "MANIFEST",
    "STATE",
    "VERSION",
    "checkpoint_name",
    "clean",
    "complete",
    "find_latest",
    "list_checkpoints",
    "problem_with",
    "prune",
    "read_manifest",
    "read_tensors",
    "rng_name",
    "rng_tensors",
    "set_rng",
    "write",
    "writing",
]

MANIFEST = "manifest.json"
STATE = "state.json"
FORMAT = "tina-training-checkpoint"
VERSION = 1
_NAME = re.compile(r"step-\d{8}")
_TEMPORARY = re.compile(r"\.(step-\d{8})\.[0-9a-f]{12}\.(partial|old)")


def checkpoint_name(step: int) -> str:
    """Return the name of a checkpoint folder, for example ``step-00001234``."""
    return f"step-{step:08d}"


def list_checkpoints(root: Path) -> list[Path]:
    """Return all folders with the name of a checkpoint, oldest first, whether they are complete or not."""
    return sorted(path for path in root.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the table of a checkpoint's files: name -> size and SHA-256.

    Raises:
        CheckpointError: the manifest is missing or was altered, or it is of another format or version.
    """
    path = folder / MANIFEST
    values = read_json(path)
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise CheckpointError(f"{MANIFEST} does not describe a training checkpoint")
    if values.get("version") != VERSION:
        raise CheckpointError(f"it has version {shorten(values.get('version'))}, and this program reads {VERSION}")
    check_digest(values, path)
    files = values.get("files")
    if not isinstance(files, Mapping) or not all(_is_entry(name, entry) for name, entry in files.items()):
        raise CheckpointError(f"{MANIFEST} lists no files with size and hash")
    return dict(files)


def _is_entry(name: str, entry: Any) -> bool:
    if not isinstance(entry, Mapping) or Path(name).name != name:
        return False
    size = entry.get("size")
    return isinstance(size, int) and not isinstance(size, bool) and isinstance(entry.get("sha256"), str)


def problem_with(folder: Path) -> str | None:
    """Return why a checkpoint cannot be used, or None if it is complete and unchanged."""
    if not (folder / MANIFEST).is_file():
        return f"it has no {MANIFEST}, so it was never finished"
    try:
        files = read_manifest(folder)
    except CheckpointError as error:
        # Messages of the storage name the file first; here the checkpoint is the subject.
        text = str(error)
        return text if text.startswith(("it ", MANIFEST)) else f"{MANIFEST} is damaged or was changed"
    try:
        for name, expected in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {expected['size']}"
            if _sha256(path) != expected["sha256"]:
                return f"{name} was changed"
    except OSError as error:
        return f"{Path(str(error.filename)).name} cannot be read ({error.strerror})"
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


def read_tensors(folder: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """Read a file of tensors. Its hash is taken of the bytes that are read.

    Args:
        folder: the checkpoint.
        name: the file's name without suffix.
        files: what `read_manifest` returned.

    Raises:
        CheckpointError: the file is missing or was altered.
    """
    path = folder / f"{name}.safetensors"
    tensors, sha256 = read_hashed(path)
    if sha256 != files.get(path.name, {}).get("sha256"):
        raise CheckpointError(f"'{path}' was changed after it was written. Resume from another checkpoint.")
    return tensors


def write(
    root: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    random_states: Sequence[Mapping[str, Tensor]],
) -> Path:
    """Write the checkpoint of a step. One of the same step is replaced.

    Args:
        root: the folder of all checkpoints.
        step: number of optimizer steps.
        tensors: file name without suffix -> its tensors.
        state: JSON values for state.json.
        random_states: `rng_tensors` of every process.

    Returns:
        The checkpoint's folder.

    Raises:
        TrainingError: writing failed, for example on a full disk; earlier checkpoints are unchanged.
    """
    with writing(root, step) as partial:
        complete(partial, tensors, state, random_states, {})
    return root / checkpoint_name(step)


@contextmanager
def writing(root: Path, step: int) -> Iterator[Path]:
    """Yield an empty folder, which becomes the checkpoint of a step when the block ends. Call `complete` in the block.

    Raises:
        TrainingError: as for `write`.
    """
    final = root / checkpoint_name(step)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with temporary_folder(final) as partial:
            yield partial
            _sync_folder(partial)
            put_in_place(partial, final)
        _sync_folder(root)
    except OSError as error:
        raise TrainingError(
            f"The checkpoint '{final}' could not be written ({error.strerror or error}). Earlier checkpoints are unchanged. "
            "Free some disk space and resume."
        ) from error


def complete(
    partial: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    random_states: Sequence[Mapping[str, Tensor]],
    written: Mapping[str, str],
) -> None:
    """Write what a checkpoint lacks, the manifest last.

    Args:
        partial: from `writing`.
        tensors: file name without suffix -> its tensors.
        state: JSON values for state.json.
        random_states: `rng_tensors` of every process.
        written: name -> SHA-256 of the files that are there already.
    """
    contents = {**tensors, **{rng_name(process): values for process, values in enumerate(random_states)}}
    # Hashed while they are in memory: reading them again takes as long as writing them.
    sha256 = dict(written)
    for name, values in contents.items():
        sha256[f"{name}.safetensors"] = write_safetensors(partial / f"{name}.safetensors", values)
    write_json(partial / STATE, state)
    files = {
        path.name: {"size": path.stat().st_size, "sha256": sha256.get(path.name) or _sha256(path)}
        for path in sorted(partial.iterdir())
    }
    write_json(partial / MANIFEST, with_digest({"format": FORMAT, "version": VERSION, "files": files}, MANIFEST))


def clean(root: Path) -> None:
    """Remove what killed runs left beside the checkpoints. Call this while no other process writes there."""
    if not root.is_dir():
        return
    names = {found[1] for path in root.iterdir() if (found := _TEMPORARY.fullmatch(path.name))}
    for name in names:
        restore_missing(root / name)
        sweep(root / name)


def prune(root: Path, step: int, keep: int) -> None:
    """Remove all checkpoints but the newest `keep` up to `step`, which is the newest usable one.

    Checkpoints of later steps are removed, too: they are damaged, or the user resumed from an earlier one.
    """
    present = list_checkpoints(root)
    current = [folder for folder in present if folder.name <= checkpoint_name(step)]
    for folder in set(present) - set(current[-keep:]):
        # Renamed first: if this process is killed, the next one must not find half a checkpoint.
        gone = temporary_name(folder)
        try:
            folder.rename(gone)
        except OSError:
            continue  # it does no harm, and the next run tries again
        remove(gone)


def rng_tensors() -> dict[str, Tensor]:
    """Return the state of torch's global random generators in this process."""
    tensors = {"torch_cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["torch_cuda"] = torch.cuda.get_rng_state()
    return tensors


def rng_name(process: int) -> str:
    """Return the name, without suffix, of the file with a process's random state."""
    return f"rng-{process:05d}"


def set_rng(tensors: Mapping[str, Tensor]) -> bool:
    """Restore what `rng_tensors` returned.

    Returns:
        Whether the state fits. If it was written on another kind of device, nothing is restored.
    """
    if tensors.keys() != rng_tensors().keys():
        return False
    torch.set_rng_state(tensors["torch_cpu"])
    if "torch_cuda" in tensors:
        torch.cuda.set_rng_state(tensors["torch_cuda"])
    return True


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
