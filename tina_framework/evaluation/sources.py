"""Finding what an evaluation compares with: generic models and the zoo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.context import GenericModel
from tina_framework.generator.config import FORMAT as GENERATOR_FORMAT
from tina_framework.generator.folder import GENERIC, bundled_names, find_folder, read_folder
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors, read_metadata, read_safetensors
from tina_framework.storage.folders import is_folder_of
from tina_framework.zoo.store import Zoo

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator

__all__ = ["find_zoo", "open_zoo", "portable", "read_generic", "recorded"]


def recorded(training: Mapping[str, Any], key: str) -> Any:
    """What a generator's training record says under `key`, at its top or in its recipe; None if nothing."""
    if key in training:
        return training[key]
    for part in ("recipe", "config"):
        nested = training.get(part)
        if isinstance(nested, Mapping) and key in nested:
            return nested[key]
    return None


def find_zoo(generator: Generator) -> tuple[Path | None, str]:
    """The bundled zoo of the name in the generator's training record; else None, and why."""
    name = recorded(generator.config.training, "zoo")
    advice = "give its folder with --zoo"
    # Of a path only the last part: a model folder must not make the program read elsewhere.
    last = Path(name).name if isinstance(name, str) else ""
    if last in ("", ".."):
        return None, f"the generator names no zoo; {advice}"
    folder = Path(str(resources.files("tina_framework"))) / "pretrained" / last
    if (folder / "zoo.json").is_file():
        return folder, ""
    return None, f"the generator's zoo '{last}' does not ship with the package; {advice}"


def open_zoo(folder: Path, spec: ParameterSpec) -> Zoo:
    """A zoo of the generator's architecture.

    Raises:
        CheckpointError: it is no zoo, damaged, or of another architecture.
    """
    zoo = Zoo.open(folder)
    if zoo.architecture != spec.architecture.name:
        raise CheckpointError(
            f"The zoo '{folder}' holds '{zoo.architecture}' networks, but the generator makes '{spec.architecture.name}'; "
            "give the zoo that belongs to it."
        )
    zoo.check(spec)
    zoo.generic = {name: tensor.float() for name, tensor in zoo.generic.items()}  # it may be kept in half precision
    return zoo


def read_generic(path: str, spec: ParameterSpec, class_names: Sequence[str]) -> GenericModel:
    """A generic model from a zoo, a generator (folder or bundled name) or a safetensors file.

    Args:
        path: where it is.
        spec: its architecture.
        class_names: of the data set; a file without ``class_names`` in its header must have an output for each of these,
            in this order.

    Raises:
        ConfigError: there is nothing of the kind.
        CheckpointError: what is there does not fit the architecture.
    """
    place = Path(path)
    if (place / "zoo.json").is_file():
        zoo = open_zoo(place, spec)
        return GenericModel(zoo.generic, zoo.class_names, f"the generic model of zoo '{place.resolve().name}'")
    if is_folder_of(place, GENERATOR_FORMAT) or path in bundled_names():
        parts = read_folder(find_folder(path))
        if parts.generic is None:
            raise CheckpointError(f"The generator '{path}' carries no {GENERIC}; name a zoo instead.")
        _check(parts.generic, spec, parts.config.class_names, f"'{path}'")
        return GenericModel(parts.generic, parts.config.class_names, f"the generic model of generator '{place.name}'")
    if place.suffix == ".safetensors":
        names = _names_in(place) or tuple(class_names)
        tensors = read_safetensors(place)
        _check(tensors, spec, names, f"'{place}'")
        return GenericModel({n: t.float() for n, t in tensors.items()}, names, f"'{place.name}'")
    raise ConfigError(
        f"'{path}' is no zoo folder, generator or .safetensors file, so there is no generic model to select from."
    )


def _names_in(path: Path) -> tuple[str, ...] | None:
    text = read_metadata(path).get("class_names")
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"'{path}': 'class_names' in the header is not a JSON list of names; write the file again."
        )
    return tuple(names)


def _check(tensors: Mapping[str, Any], spec: ParameterSpec, class_names: Sequence[str], source: str) -> None:
    check_tensors(tensors, {info.name: info.shape for info in spec.parameters(len(class_names))}, source)


def portable(spec: str) -> str:
    """A path or ``name:PATH`` as it may be published: an absolute path is cut down to its last part."""
    name, colon, argument = spec.partition(":")
    if colon and Path(argument).is_absolute():
        return f"{name}:{Path(argument).name}"
    return Path(spec).name if Path(spec).is_absolute() else spec
