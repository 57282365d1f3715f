"""Finding and opening the zoo that belongs to a generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError, PluginError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.store import Zoo

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator

__all__ = ["find_zoo", "open_zoo", "training_setting"]


def training_setting(training: Mapping[str, Any], key: str) -> Any:
    """Return a value of a generator's training record, from its top level or its recipe; None if it has no such key."""
    if key in training:
        return training[key]
    for part in ("recipe", "config"):
        nested = training.get(part)
        if isinstance(nested, Mapping) and key in nested:
            return nested[key]
    return None


def find_zoo(generator: Generator) -> tuple[Path | None, str]:
    """Find the zoo that the generator's training record names, if an installed package provides it.

    Returns:
        The folder and an empty string, or None and the reason why there is no zoo.
    """
    name = training_setting(generator.config.training, "zoo")
    advice = "give its folder with --zoo"
    # A model folder must not make the program read elsewhere. So only the last part of a path is used, as a registered name.
    last = Path(name).name if isinstance(name, str) else ""
    if last in ("", ".."):
        return None, f"the generator names no zoo; {advice}"
    zoos = registries().zoos
    if last not in zoos:
        return None, f"no installed package provides the generator's zoo '{last}'; {advice}"
    try:
        return zoos.target(last), ""
    except PluginError as error:
        return None, f"{str(error).removesuffix('.')}, or {advice}"


def open_zoo(folder: Path, spec: ParameterSpec) -> Zoo:
    """Open a zoo and check that it has the generator's architecture.

    Raises:
        CheckpointError: the folder is no zoo, is damaged, or holds networks of another architecture.
    """
    zoo = Zoo.open(folder)
    if zoo.architecture != spec.architecture.name:
        raise CheckpointError(
            f"The zoo '{folder}' holds '{zoo.architecture}' networks, "
            f"but the generator makes '{spec.architecture.name}'; give the zoo that belongs to it."
        )
    zoo.check(spec)
    # A zoo may store its generic model in half precision; accuracies are measured in float32.
    zoo.generic = {name: tensor.float() for name, tensor in zoo.generic.items()}
    return zoo
