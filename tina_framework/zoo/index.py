"""The index of a zoo, `index.json`: the shards with their hashes, and what is recorded of each p-Model, in columns.

    {"format": "tina-zoo-index", "version": 2,
     "shards": [{"file": "shards/shard-00000.safetensors", "sha256": "...", "bytes": 1380432}, ...],
     "parameters": {"10": 5370},
     "models": {"classes": [[3, 17, ...], ...], "validation_accuracy": [...], "selection_accuracy": [...]}}

Columns are read five times as fast as an object for each p-Model. Ids and seeds follow from the place and from `zoo.json`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import CheckpointError, shorten
from tina_framework.storage.digest import with_digest
from tina_framework.storage.files import write_json
from tina_framework.storage.folders import hashes
from tina_framework.zoo.entries import ZooEntries
from tina_framework.zoo.manifest import FORMAT, Manifest, read_manifest, read_zoo_json
from tina_framework.zoo.shards import read_shard, shard_path
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["INDEX", "Index", "ListedShard", "empty_index", "read_index", "write_index"]

INDEX = "index.json"
_VERSION = 2
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ListedShard:
    """What the index says of the file of one shard: its SHA-256 in hexadecimal, and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Index:
    """The contents of ``index.json``.

    Attributes:
        shards: one for each shard, by number.
        parameters: class count -> number of parameters of a p-Model.
        entries: one for each p-Model, by id.
    """

    shards: tuple[ListedShard, ...]
    parameters: dict[int, int]
    entries: ZooEntries


def write_index(folder: Path, config: ZooConfig) -> int:
    """Write ``index.json`` over all shards, and return how many models it lists.

    Raises:
        CheckpointError: a shard is missing, altered or short, or its p-Models do not fit together.
    """
    number = {name: label for label, name in enumerate(read_manifest(folder).class_names)}
    shards, classes, validation, selection = [], [], [], []
    parameters: dict[int, int] = {}
    for shard in range(config.num_shards):
        path = shard_path(folder, shard)
        for entry, flat in read_shard(folder, config, shard):
            unknown = [name for name in entry.classes if name not in number]
            if unknown:
                raise CheckpointError(
                    f"'{path}': p-Model {entry.id} has the class {shorten(unknown[0])}, which is not one of the zoo's."
                )
            expected = parameters.setdefault(len(entry.classes), flat.numel())
            if flat.numel() != expected:
                raise CheckpointError(
                    f"'{path}': p-Model {entry.id} has {flat.numel()} parameters, but others of {len(entry.classes)} "
                    f"classes have {expected}. Remove the file, and run the same `tina zoo build` again."
                )
            classes.append([number[name] for name in entry.classes])
            validation.append(float(entry.validation_accuracy))
            selection.append(float(entry.selection_accuracy))
        file = {"file": f"shards/{path.name}", "sha256": hashes(path)[path.name], "bytes": path.stat().st_size}
        shards.append(file)
    index = {
        "format": f"{FORMAT}-index",
        "version": _VERSION,
        "shards": shards,
        "parameters": {str(count): parameters[count] for count in sorted(parameters)},
        "models": {"classes": classes, "validation_accuracy": validation, "selection_accuracy": selection},
    }
    # On one line: a line for each of a million numbers would be no easier to read.
    write_json(folder / INDEX, with_digest(index, INDEX), indent=None)
    return len(classes)


def read_index(folder: Path, manifest: Manifest) -> Index:
    """Read ``index.json`` and compare it with the settings of the zoo.

    Raises:
        CheckpointError: the file is missing or damaged, or it belongs to another zoo.
    """
    config, path = manifest.config, folder / INDEX
    if not path.is_file():
        if config.num_models:
            raise CheckpointError(
                f"The zoo '{folder}' is not finished; run the same `tina zoo build` again to continue."
            )
        return empty_index(manifest)
    index = read_zoo_json(folder, f"{FORMAT}-index", _VERSION, INDEX)
    try:
        entries = _entries(index["models"], manifest)
        shards = tuple(
            _listed(shard, f"shards/{shard_path(folder, number).name}") for number, shard in enumerate(index["shards"])
        )
        if len(shards) != config.num_shards:
            raise ValueError(f"it lists {len(shards)} shards of {config.num_shards}")
        return Index(shards, _parameters(index["parameters"], entries), entries)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"'{path}' is damaged ({reason}); remove it and run the same `tina zoo build` again, which rewrites it."
        ) from error


def empty_index(manifest: Manifest) -> Index:
    """Return the index of a zoo without p-Models."""
    return Index((), {}, _entries({key: [] for key in ("classes", *_ACCURACIES)}, manifest))


_ACCURACIES = ("validation_accuracy", "selection_accuracy")


def _entries(models: Any, manifest: Manifest) -> ZooEntries:
    config, names = manifest.config, manifest.class_names
    rows = models["classes"]
    if not isinstance(rows, list) or not all(map(list.__instancecheck__, rows)):
        raise ValueError(f"its classes are {shorten(rows)}")
    if len(rows) != config.num_models:
        raise ValueError(f"it lists {len(rows)} p-Models instead of {config.num_models}")
    counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    odd = set(np.unique(counts).tolist()) - config.class_counts.keys()
    if odd:
        raise ValueError(f"p-Models of {min(odd)} classes do not follow from zoo.json")
    listed = list(itertools.chain.from_iterable(rows))
    _check_types(listed, {int}, "class")
    if listed and not (min(listed) >= 0 and max(listed) < len(names)):
        raise ValueError(f"it names the class {max(listed)} or {min(listed)} of {len(names)}")
    columns = [_accuracies(models[name], len(rows)) for name in _ACCURACIES]
    return ZooEntries(names, counts, np.array(listed, dtype=np.int32), config.model_seed, *columns)


def _accuracies(values: Any, length: int) -> npt.NDArray[np.float64]:
    if not isinstance(values, list) or len(values) != length:
        raise ValueError(f"its accuracies are {shorten(values)}")
    _check_types(values, {int, float}, "accuracy")
    column = np.array(values, dtype=np.float64)
    if length and not (column.min() >= 0 and column.max() <= 1):
        raise ValueError(f"an accuracy is {column.min()} or {column.max()}")
    return column


def _check_types(values: list[Any], allowed: set[type], what: str) -> None:
    if not allowed.issuperset(map(type, values)):
        raise ValueError(f"a {what} is {shorten(next(v for v in values if type(v) not in allowed))}")


def _parameters(values: Any, entries: ZooEntries) -> dict[int, int]:
    if not isinstance(values, Mapping) or not all(type(size) is int and size > 0 for size in values.values()):
        raise ValueError(f"its numbers of parameters are {shorten(values)}")
    found = {str(count) for count in np.unique(entries.counts)}
    if values.keys() != found:
        raise ValueError("its numbers of parameters are not those of its class counts")
    return {int(count): size for count, size in values.items()}


def _listed(shard: Any, file: str) -> ListedShard:
    if not isinstance(shard, dict) or shard.get("file") != file:
        raise ValueError(f"the entry of {file} has another file")
    digest, size = shard.get("sha256"), shard.get("bytes")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"the entry of {file} has no sha256")
    if type(size) is not int or size < 0:
        raise ValueError(f"the entry of {file} has no size")
    return ListedShard(digest, size)
