"""The zoo on disk: a generic model, p-Models in safetensors shards, and an index.

zoo.json               format, settings, class names, figures and SHA-256 of the generic model
generic.safetensors    the generic model, under the architecture's own parameter names
shards/shard-00000.safetensors, ...   flat parameter vectors (N,) under the model's id, entries in the header
index.json             classes, seed and accuracies of every model; file, SHA-256 and ids of every shard
models/                finished models of unfinished shards (while a zoo is being built)

Every safetensors file has the SHA-256 of its contents in its header. Every JSON file has its own; see `storage.digest`.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tina_framework.errors import CheckpointError, shorten
from tina_framework.interfaces.class_names import checked_names, normalize_name
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import check_tensors, read_digested, read_hashed, write_json, write_safetensors
from tina_framework.storage.folders import check_sha256, hashes, read_config
from tina_framework.storage.paths import user_path, utf8_path
from tina_framework.targets.trunk import check_trunk_record
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = [
    "FORMAT",
    "GENERIC",
    "INDEX",
    "MANIFEST",
    "Manifest",
    "Zoo",
    "ZooEntry",
    "read_generic_tensors",
    "read_manifest",
    "read_model",
    "read_shard",
    "write_index",
    "write_manifest",
    "write_model",
    "write_shard",
]

FORMAT = "tina-zoo"
VERSION = 1
MANIFEST = "zoo.json"
INDEX = "index.json"
GENERIC = "generic.safetensors"

# The same few names are in thousands of entries.
_normalized = functools.lru_cache(maxsize=100_000)(normalize_name)

_NEEDS = "zoo.json, generic.safetensors, index.json and shards/"


@dataclass(frozen=True)
class ZooEntry:
    """What the index says of one p-Model. Accuracies are fractions of 1, on the validation images of its classes."""

    id: int
    classes: tuple[str, ...]
    seed: int
    validation_accuracy: float
    selection_accuracy: float

    @classmethod
    def from_json(cls, value: Any) -> ZooEntry:
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: a key is missing or unknown, or a value is of a wrong type.
        """
        try:
            model_id, classes, seed, validation, selection = _fields_of(value)
            known = len(value) == 5
        except (KeyError, TypeError, IndexError):
            known = False
        if not known:
            raise ValueError(f"{shorten(value)} does not describe a p-Model")
        if type(classes) is not list or not _STRINGS.issuperset(map(type, classes)):
            raise ValueError(f"its classes are {shorten(classes)}")
        if type(model_id) is not int or type(seed) is not int:
            raise ValueError(f"its id and seed are {shorten((model_id, seed))}")
        for accuracy in (validation, selection):
            if type(accuracy) not in (float, int) or not 0 <= accuracy <= 1:
                raise ValueError(f"an accuracy is {shorten(accuracy)}")
        return cls(model_id, tuple(map(_normalized, classes)), seed, validation, selection)


_fields_of = operator.itemgetter(*ZooEntry.__dataclass_fields__)
_STRINGS = {str}


def model_path(folder: Path, model_id: int) -> Path:
    return folder / "models" / f"{model_id:06d}.safetensors"


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
    tensors = {f"{entry.id:06d}": flat for entry, flat in models}
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
    return [(entry, tensors[f"{entry.id:06d}"]) for entry in entries]


def _entry_values(path: Path, metadata: Mapping[str, str]) -> list[Any]:
    try:
        values = json.loads(metadata["entries"])
        if not isinstance(values, list):
            raise ValueError("its entries are not a list")
        return values
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' has no list of its p-Models in its header ({error}). {_AGAIN}") from error


def _entries(path: Path, metadata: Mapping[str, str]) -> list[ZooEntry]:
    try:
        return [ZooEntry.from_json(value) for value in _entry_values(path, metadata)]
    except ValueError as error:
        raise CheckpointError(f"'{path}' has no list of its p-Models in its header ({error}). {_AGAIN}") from error


_AGAIN = "Remove it, and run the same `tina zoo build` again, which rebuilds it."


def _check_shard(
    path: Path, config: ZooConfig, shard: int, entries: Sequence[ZooEntry], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    expected = list(config.shard_ids(shard))
    names = [f"{i:06d}" for i in expected]
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


def write_index(folder: Path, config: ZooConfig) -> int:
    """Write ``index.json`` over all shards, and return how many models it lists.

    Raises:
        CheckpointError: a shard is missing, altered or short.
    """
    shards, models = [], []
    for shard in range(config.num_shards):
        entries = [entry for entry, _ in read_shard(folder, config, shard)]
        path = shard_path(folder, shard)
        shards.append(
            {"file": f"shards/{path.name}", "sha256": hashes(path)[path.name], "ids": [e.id for e in entries]}
        )
        models += [asdict(e) for e in entries]
    index = {"format": f"{FORMAT}-index", "version": VERSION, "shards": shards, "models": models}
    write_json(folder / INDEX, with_digest(index, INDEX))
    return len(models)


@dataclass(frozen=True)
class Manifest:
    """The contents of ``zoo.json``.

    Attributes:
        config: the settings of the zoo.
        class_names: the classes of the data set, in the order of their labels.
        figures: what was measured of the generic model, free JSON.
        trunk: the record of the frozen trunk, or None.
        values: all of it, as read.
    """

    config: ZooConfig
    class_names: tuple[str, ...]
    figures: dict[str, Any]
    trunk: Any
    values: dict[str, Any]


def write_manifest(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``zoo.json``, with the SHA-256 of the generic model that is in the folder already."""
    table = hashes(folder / GENERIC)
    write_json(folder / MANIFEST, with_digest({**values, HASHES: table}, MANIFEST))


def manifest_sha256(folder: Path) -> str | None:
    """Return the SHA-256 of ``zoo.json``, which identifies a zoo; None if the folder has no such file."""
    path = folder / MANIFEST
    return hashes(path)[MANIFEST] if path.is_file() else None


def read_manifest(folder: Path) -> Manifest:
    """Read ``zoo.json`` and check its format, version, digest and contents.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format or version.
    """
    path = folder / MANIFEST
    values = _read_config(folder, FORMAT, MANIFEST)
    lacking = [key for key in ("config", "class_names") if key not in values]
    if lacking:
        raise CheckpointError(f"'{path}' lacks {' and '.join(lacking)}; restore or rebuild the zoo.")
    names = checked_names(values["class_names"], f"'{path}': class_names", CheckpointError)
    figures = values.get("figures", {})
    if not isinstance(figures, dict):
        raise CheckpointError(f"'{path}': figures is {shorten(figures)}, not an object; restore or rebuild the zoo.")
    return Manifest(ZooConfig.from_json(values["config"]), names, figures, values.get("trunk"), values)


def _read_config(folder: Path, format_name: str, file: str) -> dict[str, Any]:
    try:
        return read_config(folder, format_name, VERSION, _NEEDS, file=file, version_key="version")
    except RecursionError:
        raise CheckpointError(f"'{folder / file}' is nested too deeply; restore or rebuild the zoo.") from None


def _read_index(folder: Path, manifest: Manifest) -> tuple[list[Any], list[ZooEntry], list[str]]:
    """Return the entries of all models by id, as in the file and checked, and the SHA-256 of every shard."""
    config, path = manifest.config, folder / INDEX
    if not path.is_file():
        if config.num_models:
            raise CheckpointError(
                f"The zoo '{folder}' is not finished; run the same `tina zoo build` again to continue."
            )
        return [], [], []
    index = _read_config(folder, f"{FORMAT}-index", INDEX)
    try:
        entries = [ZooEntry.from_json(value) for value in index["models"]]
        digests = [
            _listed(shard, f"shards/{shard_path(folder, n).name}", list(config.shard_ids(n)))
            for n, shard in enumerate(index["shards"])
        ]
        if [entry.id for entry in entries] != list(range(config.num_models)):
            raise ValueError(f"it lists {len(entries)} p-Models instead of 0 to {config.num_models - 1}")
        if len(digests) != config.num_shards:
            raise ValueError(f"it lists {len(digests)} shards of {config.num_shards}")
        unknown = {name for entry in entries for name in entry.classes} - set(manifest.class_names)
        if unknown:
            raise ValueError(f"the class {shorten(min(unknown))} is not one of the zoo's")
    except (KeyError, TypeError, ValueError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"'{path}' is damaged ({reason}); remove it and run the same `tina zoo build` again, which rewrites it."
        ) from error
    return index["models"], entries, digests


def _listed(shard: Any, file: str, ids: list[int]) -> str:
    if not isinstance(shard, dict) or shard.get("file") != file or shard.get("ids") != ids:
        raise ValueError(f"the entry of {file} has another file or other ids")
    if not isinstance(shard.get("sha256"), str):
        raise ValueError(f"the entry of {file} has no sha256")
    return str(shard["sha256"])


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Return the metadata of a safetensors file, and the shapes of its tensors, without reading the tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with utf8_path(path) as opened, safe_open(opened, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            return dict(file.metadata() or {}), shapes
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}). {_AGAIN}") from error


class Zoo:
    """A finished zoo, read only. Use `Zoo.open`.

    Attributes:
        folder: the folder it was read from.
        config: the settings it was built with.
        class_names: the classes of the data set, in the order of their labels.
        architecture: registry name of the architecture.
        entries: one `ZooEntry` for each p-Model, by id.
        generic: state dict of the generic model, with outputs for all `class_names`.
        figures: what was measured of the generic model, free JSON.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        entries: list[ZooEntry],
        digests: list[str],
        sizes: dict[int, int],
        generic: dict[str, Tensor],
    ) -> None:
        self.folder = folder
        self.config = manifest.config
        self.class_names = manifest.class_names
        self.figures = manifest.figures
        self.manifest = manifest
        self.architecture = self.config.architecture
        self.generic = generic
        self.entries = entries
        self._digests = digests
        self._sizes = sizes
        self._loaded: dict[int, dict[str, Tensor]] = {}

    @classmethod
    def open(cls, folder: Path | str) -> Zoo:
        """Open a zoo and check that it is complete.

        The weights of p-Models are compared with their SHA-256 when they are read; see `flat`.

        Raises:
            CheckpointError: the folder is no zoo, is not finished, or was altered; or a shard is missing, incomplete,
                or in the place of another one.
        """
        folder = user_path(folder)
        if not (folder / MANIFEST).is_file():
            raise CheckpointError(f"'{folder}' is not a zoo: it has no zoo.json. Build one with `tina zoo build`.")
        manifest = read_manifest(folder)
        listed, entries, digests = _read_index(folder, manifest)
        sizes: dict[int, int] = {}
        for shard in range(len(digests)):
            path, ids = shard_path(folder, shard), manifest.config.shard_ids(shard)
            if not path.is_file():
                raise CheckpointError(
                    f"The zoo '{folder}' lacks shards/{path.name} ({len(ids)} models); "
                    "restore it, or run the same `tina zoo build` again, which trains the missing models."
                )
            metadata, shapes = _header(path)
            # Comparing texts is faster than reading each entry a second time.
            same = metadata.get("entries") == json.dumps(listed[ids.start : ids.stop])
            found = entries[ids.start : ids.stop] if same else _entries(path, metadata)
            _check_shard(path, manifest.config, shard, found, shapes)
            if found != entries[ids.start : ids.stop]:
                raise CheckpointError(
                    f"'{path}' holds other p-Models than index.json lists. Restore it; or remove index.json, and run the "
                    "same `tina zoo build` again."
                )
            sizes |= {i: shapes[f"{i:06d}"][0] for i in ids}
        return cls(folder, manifest, entries, digests, sizes, read_generic_tensors(folder, manifest))

    def __len__(self) -> int:
        return len(self.entries)

    def check(self, spec: ParameterSpec) -> None:
        """Compare the generic model with the architecture.

        Raises:
            CheckpointError: names, shapes or values do not fit the architecture, or the frozen trunk is another one.
        """
        check_trunk_record(self.manifest.trunk, spec.architecture, f"Zoo '{self.folder}'")
        shapes = {info.name: info.shape for info in spec.parameters(len(self.class_names))}
        check_tensors(self.generic, shapes, f"The generic model of zoo '{self.folder}'")
        for entry in self.entries:
            expected = spec.num_parameters(len(entry.classes))
            if self._sizes[entry.id] != expected:
                raise CheckpointError(
                    f"p-Model {entry.id} of zoo '{self.folder}' has {self._sizes[entry.id]} parameters, but "
                    f"'{self.architecture}' has {expected} for {len(entry.classes)} classes; rebuild the zoo."
                )

    def flat(self, model_id: int) -> Tensor:
        """Return the float32 parameters (N,) of a p-Model.

        Raises:
            CheckpointError: its shard is damaged.
            KeyError: there is no such model.
        """
        if model_id not in self._sizes:
            raise KeyError(model_id)
        number = model_id // self.config.shard_size
        if number not in self._loaded:
            self._loaded[number] = self._read_shard(number)
        return self._loaded[number][f"{model_id:06d}"].float()  # exported zoos hold half precision

    def verify(self) -> None:
        """Compare all weights with their SHA-256. `flat` does it for those that it reads.

        Raises:
            CheckpointError: a shard is damaged.
        """
        for number in range(len(self._digests)):
            self._read_shard(number)

    def _read_shard(self, number: int) -> dict[str, Tensor]:
        path = shard_path(self.folder, number)
        tensors, found = read_hashed(path)
        check_sha256(path, self._digests[number], INDEX, found)
        return tensors

    def states(self, spec: ParameterSpec) -> Iterator[dict[str, Tensor]]:
        """Yield the p-Models as state dicts, by id."""
        for entry in self.entries:
            yield spec.unflatten(self.flat(entry.id), len(entry.classes))


def read_generic_tensors(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """Read the generic model of a zoo.

    Raises:
        CheckpointError: it is missing, or it is not the one that ``zoo.json`` records.
    """
    path = folder / GENERIC
    recorded = manifest.values[HASHES].get(GENERIC)
    if not isinstance(recorded, str):
        raise CheckpointError(f"'{folder / MANIFEST}' records no SHA-256 of {GENERIC}; restore or rebuild the zoo.")
    tensors, found = read_hashed(path)
    check_sha256(path, recorded, MANIFEST, found)
    return tensors
