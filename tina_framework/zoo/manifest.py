"""The manifest of a zoo, `zoo.json`, and the generic models whose SHA-256 it records."""

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
    "generic_file",
    "generic_sha256",
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
"""The generic model; if there are several widths, the widest."""

_NEEDS = "zoo.json, generic.safetensors, index.json and shards/"


def generic_file(width: float | None = None) -> str:
    """Return the name of the file of a generic model: ``generic-0.5.safetensors``, or that of the widest for None."""
    return GENERIC if width is None else f"generic-{width:g}.safetensors"


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
    """Write ``zoo.json``, with the SHA-256 of the generic models that are in the folder already."""
    widths = values["config"].get("generic_widths", ())
    table = hashes(*(folder / generic_file(width) for width in (None, *widths)))
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


def generic_sha256(folder: Path, manifest: Manifest, width: float | None = None) -> str:
    """Return the SHA-256 that ``zoo.json`` records of a generic model's file.

    Args:
        folder: the folder of the zoo, for the message.
        manifest: its manifest.
        width: which generic model; None: the widest.

    Raises:
        CheckpointError: there is none.
    """
    name = generic_file(width)
    recorded = manifest.values[HASHES].get(name)
    if not isinstance(recorded, str):
        raise CheckpointError(f"'{folder / MANIFEST}' records no SHA-256 of {name}; restore or rebuild the zoo.")
    return recorded


def read_generic_tensors(folder: Path, manifest: Manifest, width: float | None = None) -> dict[str, Tensor]:
    """Read a generic model of a zoo: the widest, or the one of a width.

    Raises:
        CheckpointError: it is missing, or it is not the one that ``zoo.json`` records.
    """
    path = folder / generic_file(width)
    recorded = generic_sha256(folder, manifest, width)
    tensors, found = read_hashed(path)
    check_sha256(path, recorded, MANIFEST, found)
    return tensors
