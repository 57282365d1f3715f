"""The generic model: one network with an output for every class of a data set, trained without any task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.zoo_lookup import open_zoo
from tina_framework.generator.config import FORMAT as GENERATOR_FORMAT
from tina_framework.generator.folder import GENERIC, find_folder, read_folder
from tina_framework.interfaces.method import Answer, Missing, Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import check_tensors, read_metadata, read_safetensors
from tina_framework.storage.folders import is_folder_of
from tina_framework.storage.paths import user_path

__all__ = ["GenericModel", "read_generic"]


@dataclass(frozen=True, eq=False)
class GenericModel:
    """One network with an output for every class of a data set.

    Attributes:
        state: parameter name -> tensor, on the CPU.
        class_names: the class of each output.
        source: where the model came from, for the report.
    """

    state: Mapping[str, Tensor]
    class_names: tuple[str, ...]
    source: str

    def missing(self, classes: Sequence[str]) -> Missing | None:
        """Return the reason why the model cannot be used for `classes`; None if it has an output for each."""
        lacking = [name for name in classes if name not in self.class_names]
        if not lacking:
            return None
        return Missing(f"the generic model ({self.source}) has no output for {', '.join(map(repr, lacking[:3]))}")

    def rows(self, classes: Sequence[str]) -> Tensor:
        """Return the numbers (K,) of the outputs of `classes`, which must all exist."""
        return torch.tensor([self.class_names.index(name) for name in classes])

    def select(self, spec: ParameterSpec, classes: Sequence[str]) -> Answer:
        """Return the network with the outputs of `classes` only. This is what *selection* means."""
        lacking = self.missing(classes)
        if lacking is not None:
            return lacking
        state = spec.select_classes(self.state, self.rows(classes))
        return Network(spec.flatten(state, len(classes)), tuple(classes))


def read_generic(path: str, spec: ParameterSpec, class_names: Sequence[str]) -> GenericModel:
    """Read a generic model from a zoo, a generator (folder or registered name) or a safetensors file.

    Args:
        path: the zoo, generator or file.
        spec: the parameters of the architecture that the model must have.
        class_names: the classes of the data set. A file without ``class_names`` in its header must have an output for
            each of these, in this order.

    Raises:
        ConfigError: there is neither a zoo nor a generator nor a safetensors file at `path`.
        CheckpointError: the model does not fit the architecture.
    """
    place = user_path(path)
    if (place / "zoo.json").is_file():
        zoo = open_zoo(place, spec)
        return GenericModel(zoo.generic, zoo.class_names, f"the generic model of zoo '{place.resolve().name}'")
    if is_folder_of(place, GENERATOR_FORMAT) or path in registries().generators:
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
