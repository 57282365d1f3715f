"""The zoo on disk: a generic model, p-Models in safetensors shards, and an index.

zoo.json               format, settings, class names, figures of the generic model
generic.safetensors    the generic model, under the architecture's own parameter names
shards/shard-00000.safetensors, ...   flat parameter vectors (N,) under the model's id, entries in the header
index.json             classes, seed, accuracies and shard of every model
models/                finished models of unfinished shards (while a zoo is being built)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tina_framework.errors import CheckpointError
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.digest import with_digest
from tina_framework.storage.files import (
    check_tensors,
    read_json,
    read_metadata,
    read_safetensors,
    write_json,
    write_safetensors,
)
from tina_framework.storage.folders import check_sha256, hashes, read_config
from tina_framework.storage.paths import user_path
from tina_framework.targets.trunk import check_trunk_record
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["FORMAT", "Zoo", "ZooEntry", "read_manifest", "read_model", "write_index", "write_model", "write_shard"]

FORMAT = "tina-zoo"
VERSION = 1


@dataclass(frozen=True)
class ZooEntry:
    """What the index says of one p-Model. Accuracies are fractions of 1, on the validation images of its classes."""

    id: int
    classes: tuple[str, ...]
    seed: int
    validation_accuracy: float
    selection_accuracy: float

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ZooEntry:
        return cls(**{**value, "classes": tuple(value["classes"])})


def model_path(folder: Path, model_id: int) -> Path:
    return folder / "models" / f"{model_id:06d}.safetensors"


def shard_path(folder: Path, shard: int) -> Path:
    return folder / "shards" / f"shard-{shard:05d}.safetensors"


def write_model(folder: Path, entry: ZooEntry, flat_N: Tensor) -> None:
    """Store a finished p-Model, atomically. `write_shard` later moves it into its shard."""
    write_safetensors(model_path(folder, entry.id), {"flat": flat_N}, {"entry": json.dumps(asdict(entry))})


def read_model(folder: Path, model_id: int) -> tuple[ZooEntry, Tensor] | None:
    """Read a finished p-Model of an unfinished shard. None if it is missing or damaged; it is then trained again."""
    path = model_path(folder, model_id)
    try:
        entry = ZooEntry.from_json(json.loads(read_metadata(path)["entry"]))
        return entry, read_safetensors(path)["flat"]
    except (CheckpointError, KeyError, ValueError, TypeError):
        return None


def write_shard(folder: Path, shard: int, models: list[tuple[ZooEntry, Tensor]]) -> None:
    """Write a complete shard and remove the single files that it replaces."""
    tensors = {f"{entry.id:06d}": flat for entry, flat in models}
    metadata = {"entries": json.dumps([asdict(entry) for entry, _ in models]), "digest": _digest(tensors)}
    write_safetensors(shard_path(folder, shard), tensors, metadata)
    for entry, _ in models:
        model_path(folder, entry.id).unlink(missing_ok=True)


def shard_entries(folder: Path, shard: int) -> list[ZooEntry] | None:
    """Return the entries of a finished shard; None if it is missing or damaged."""
    path = shard_path(folder, shard)
    try:
        metadata = read_metadata(path)
        found = _digest(read_safetensors(path))  # read in any case, so that a damaged file is noticed
        if metadata.get("digest", "") not in ("", found):  # zoos of early versions have no digest
            return None
        return [ZooEntry.from_json(e) for e in json.loads(metadata["entries"])]
    except (CheckpointError, KeyError, ValueError, TypeError):
        return None


def _digest(tensors: dict[str, Tensor]) -> str:
    """Return a hash of a shard's tensors.

    It is kept in the shard's header, so that damage shows even without the index.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_index(folder: Path, config: ZooConfig) -> int:
    """Write ``index.json`` over all finished shards and return how many models it lists."""
    shards, models = [], []
    for shard in range(config.num_shards):
        entries = shard_entries(folder, shard)
        if entries is None:
            continue
        path = shard_path(folder, shard)
        shards.append(
            {"file": f"shards/{path.name}", "sha256": hashes(path)[path.name], "ids": [e.id for e in entries]}
        )
        models += [asdict(e) for e in entries]
    index = {"format": f"{FORMAT}-index", "version": VERSION, "shards": shards, "models": models}
    write_json(folder / "index.json", with_digest(index, "index.json"))
    return len(models)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``zoo.json`` and check its format and version.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format or version.
    """
    needs = "zoo.json, generic.safetensors, index.json and shards/"
    return read_config(folder, FORMAT, VERSION, needs, file="zoo.json", version_key="version")


def _check_index(folder: Path, index: Any) -> None:
    try:
        listed = [i for shard in index["shards"] for i in shard["ids"] if shard["file"] and shard["sha256"]]
        described = [ZooEntry.from_json(entry).id for entry in index["models"]]
    except (KeyError, TypeError, AttributeError):
        listed, described = [], [0]
    if sorted(listed) != sorted(described):
        raise CheckpointError(
            f"'{folder / 'index.json'}' is damaged; "
            "remove it and run the same `tina zoo build` again, which rewrites it."
        )


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
        self, folder: Path, manifest: dict[str, Any], index: dict[str, Any], generic: dict[str, Tensor]
    ) -> None:
        self.folder = folder
        self.config = ZooConfig.from_json(manifest["config"])
        self.class_names = checked_names(
            manifest["class_names"], f"'{folder / 'zoo.json'}': class_names", CheckpointError
        )
        self.figures: dict[str, Any] = manifest.get("figures", {})
        self._trunk = manifest.get("trunk")
        self.architecture = self.config.architecture
        self.generic = generic
        self.entries = [ZooEntry.from_json(entry) for entry in index["models"]]
        self._shards: list[dict[str, Any]] = index["shards"]
        self._shard_of = {i: n for n, shard in enumerate(self._shards) for i in shard["ids"]}
        self._loaded: dict[int, dict[str, Tensor]] = {}

    @classmethod
    def open(cls, folder: Path | str) -> Zoo:
        """Open a zoo and check that it is complete.

        Raises:
            CheckpointError: the folder is no zoo, is not finished, or lacks a shard.
        """
        folder = user_path(folder)
        if not (folder / "zoo.json").is_file():
            raise CheckpointError(f"'{folder}' is not a zoo: it has no zoo.json. Build one with `tina zoo build`.")
        manifest = read_manifest(folder)
        lacking = [key for key in ("config", "class_names") if key not in manifest]
        if lacking:
            raise CheckpointError(f"'{folder / 'zoo.json'}' lacks {' and '.join(lacking)}; restore or rebuild the zoo.")
        index: dict[str, Any] = {"shards": [], "models": []}
        if (folder / "index.json").is_file():
            index = read_json(folder / "index.json")
        elif manifest["config"]["num_models"]:
            raise CheckpointError(
                f"The zoo '{folder}' is not finished; run the same `tina zoo build` again to continue."
            )
        _check_index(folder, index)
        for shard in index["shards"]:
            if not (folder / shard["file"]).is_file():
                raise CheckpointError(
                    f"The zoo '{folder}' lacks {shard['file']} ({len(shard['ids'])} models); "
                    "restore it, or run the same `tina zoo build` again, which trains the missing models."
                )
        return cls(folder, manifest, index, read_safetensors(folder / "generic.safetensors"))

    def __len__(self) -> int:
        return len(self.entries)

    def check(self, spec: ParameterSpec) -> None:
        """Compare the generic model with the architecture.

        Raises:
            CheckpointError: names, shapes or values do not fit the architecture, or the frozen trunk is another one.
        """
        check_trunk_record(self._trunk, spec.architecture, f"Zoo '{self.folder}'")
        shapes = {info.name: info.shape for info in spec.parameters(len(self.class_names))}
        check_tensors(self.generic, shapes, f"The generic model of zoo '{self.folder}'")

    def flat(self, model_id: int) -> Tensor:
        """Return the float32 parameters (N,) of a p-Model.

        Raises:
            CheckpointError: its shard is damaged.
            KeyError: there is no such model.
        """
        number = self._shard_of[model_id]
        if number not in self._loaded:
            shard = self._shards[number]
            path = self.folder / shard["file"]
            check_sha256(path, shard["sha256"], "index.json")
            self._loaded[number] = read_safetensors(path)
        return self._loaded[number][f"{model_id:06d}"].float()  # exported zoos hold half precision

    def states(self, spec: ParameterSpec) -> Iterator[dict[str, Tensor]]:
        """Yield the p-Models as state dicts, by id."""
        for entry in self.entries:
            yield spec.unflatten(self.flat(entry.id), len(entry.classes))
