"""The manifest of a zoo, `zoo.json`, and the generic model whose SHA-256 it records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tina_framework.errors import CheckpointError, shorten
from tina_framework.interfaces.class_names import checked_names
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import read_hashed, write_json
from tina_framework.storage.folders import check_sha256, hashes, read_config
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = [
    "FORMAT",
    "GENERIC",
    "MANIFEST",
    "VERSION",
    "Manifest",
    "manifest_sha256",
    "read_generic_tensors",
    "read_manifest",
    "read_zoo_json",
    "write_manifest",
]

FORMAT = "tina-zoo"
VERSION = 1
MANIFEST = "zoo.json"
GENERIC = "generic.safetensors"

_NEEDS = "zoo.json, generic.safetensors, index.json and shards/"


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
    values = read_zoo_json(folder, FORMAT, VERSION, MANIFEST)
    lacking = [key for key in ("config", "class_names") if key not in values]
    if lacking:
        raise CheckpointError(f"'{path}' lacks {' and '.join(lacking)}; restore or rebuild the zoo.")
    names = checked_names(values["class_names"], f"'{path}': class_names", CheckpointError)
    figures = values.get("figures", {})
    if not isinstance(figures, dict):
        raise CheckpointError(f"'{path}': figures is {shorten(figures)}, not an object; restore or rebuild the zoo.")
    return Manifest(ZooConfig.from_json(values["config"]), names, figures, values.get("trunk"), values)


def read_zoo_json(folder: Path, format_name: str, version: int, file: str) -> dict[str, Any]:
    """Read a JSON file of a zoo, and check its format, version and digest.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format or version.
    """
    try:
        return read_config(folder, format_name, version, _NEEDS, file=file, version_key="version")
    except RecursionError:
        raise CheckpointError(f"'{folder / file}' is nested too deeply; restore or rebuild the zoo.") from None


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
