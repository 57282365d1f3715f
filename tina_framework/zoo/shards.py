"""The files that hold p-Models: a file for each finished one while a shard is being built, and a file for each shard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from tina_framework.errors import CheckpointError
from tina_framework.storage.files import read_digested, write_safetensors
from tina_framework.storage.tensor_file import Header
from tina_framework.zoo.entries import ZooEntries, ZooEntry
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = [
    "check_header",
    "model_name",
    "model_path",
    "read_model",
    "read_shard",
    "shard_path",
    "write_model",
    "write_shard",
]


def model_path(folder: Path, model_id: int) -> Path:
    return folder / "models" / f"{model_id:06d}.safetensors"


def model_name(model_id: int) -> str:
    """Return the name of a p-Model's tensor in its shard."""
    return f"{model_id:06d}"


def shard_path(folder: Path, shard: int) -> Path:
    return folder / "shards" / f"shard-{shard:05d}.safetensors"


def write_model(folder: Path, entry: ZooEntry, flat_N: Tensor) -> None:
    """Store a finished p-Model, atomically. `write_shard` later moves it into its shard."""
    metadata = {"entry": json.dumps(asdict(entry))}
    write_safetensors(model_path(folder, entry.id), {"flat": flat_N}, metadata, digest=True)


def read_model(folder: Path, model_id: int) -> tuple[ZooEntry, Tensor] | None:
    """Read a finished p-Model of an unfinished shard. None if it is missing or altered; it is then trained again."""
    try:
        tensors, metadata = read_digested(model_path(folder, model_id))
        entry = ZooEntry.from_json(json.loads(metadata["entry"]))
        return (entry, tensors["flat"]) if entry.id == model_id else None
    except (CheckpointError, KeyError, ValueError, RecursionError):
        return None


def write_shard(folder: Path, shard: int, models: Sequence[tuple[ZooEntry, Tensor]]) -> None:
    """Write a complete shard and remove the single files that it replaces."""
    tensors = {model_name(entry.id): flat for entry, flat in models}
    metadata = {"entries": json.dumps([asdict(entry) for entry, _ in models])}
    write_safetensors(shard_path(folder, shard), tensors, metadata, digest=True)
    for entry, _ in models:
        model_path(folder, entry.id).unlink(missing_ok=True)


def read_shard(folder: Path, config: ZooConfig, shard: int) -> list[tuple[ZooEntry, Tensor]]:
    """Read all models of a shard, and compare them with its number and with the settings of the zoo.

    Raises:
        CheckpointError: the file is missing or altered, or it is another shard, or it lacks models.
    """
    path = shard_path(folder, shard)
    tensors, metadata = read_digested(path)
    entries = _entries(path, metadata)
    _check_shard(path, config, shard, entries, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    return [(entry, tensors[model_name(entry.id)]) for entry in entries]


def check_header(
    path: Path, config: ZooConfig, shard: int, header: Header, listed: ZooEntries, parameters: Mapping[int, int]
) -> None:
    """Compare the header of a shard with the index.

    Args:
        path: the file of the shard.
        config: the settings of the zoo.
        shard: its number.
        header: its header.
        listed: all entries of the index.
        parameters: class count -> number of parameters, from the index.

    Raises:
        CheckpointError: it holds other p-Models, or they have other shapes or types.
    """
    ids = config.shard_ids(shard)
    if not _same_entries(header.metadata, listed, ids):
        found = _entries(path, header.metadata)
        _check_shard(path, config, shard, found, header.shapes)
        if found != listed[ids.start : ids.stop]:
            raise CheckpointError(
                f"'{path}' holds other p-Models than index.json lists. Restore it; or remove index.json, and run the "
                "same `tina zoo build` again."
            )
    names = [model_name(model_id) for model_id in ids]
    if header.shapes.keys() != set(names):
        _check_shard(path, config, shard, listed[ids.start : ids.stop], header.shapes)
    for model_id, count, name in zip(ids, listed.counts[ids.start : ids.stop].tolist(), names, strict=True):
        shape, kind, expected = header.shapes[name], header.types[name], parameters[count]
        if shape != (expected,) or not kind.is_floating_point:
            raise CheckpointError(
                f"'{path}': p-Model {model_id} has the shape {shape} ({kind}), but index.json lists {expected} parameters "
                f"for {count} classes. {_AGAIN}"
            )


def _same_entries(metadata: Mapping[str, str], listed: ZooEntries, ids: range) -> bool:
    try:
        return listed.lists(json.loads(metadata["entries"]), ids)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _entries(path: Path, metadata: Mapping[str, str]) -> list[ZooEntry]:
    try:
        values = json.loads(metadata["entries"])
        if not isinstance(values, list):
            raise ValueError("its entries are not a list")
        return [ZooEntry.from_json(value) for value in values]
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' has no list of its p-Models in its header ({error}). {_AGAIN}") from error


_AGAIN = "Remove it, and run the same `tina zoo build` again, which rebuilds it."


def _check_shard(
    path: Path, config: ZooConfig, shard: int, entries: Sequence[ZooEntry], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    expected = list(config.shard_ids(shard))
    names = [model_name(i) for i in expected]
    found = [entry.id for entry in entries]
    if found != expected or shapes.keys() != set(names):
        raise CheckpointError(
            f"'{path}' holds the p-Models {_numbers(found)} instead of {_numbers(expected)}; it belongs to another place "
            f"or is incomplete. {_AGAIN}"
        )
    for entry, name in zip(entries, names, strict=True):
        if entry.seed != config.model_seed(entry.id) or len(entry.classes) not in config.class_counts:
            raise CheckpointError(
                f"'{path}' belongs to another zoo: p-Model {entry.id} has seed {entry.seed} and {len(entry.classes)} "
                f"classes, which do not follow from zoo.json. {_AGAIN}"
            )
        if len(shapes[name]) != 1:
            raise CheckpointError(f"'{path}': p-Model {entry.id} is not a vector. {_AGAIN}")


def _numbers(ids: Sequence[int]) -> str:
    if len(ids) > 3:
        return f"{ids[0]}, {ids[1]}, ..., {ids[-1]} ({len(ids)} in all)"
    return ", ".join(map(str, ids)) or "(none)"
