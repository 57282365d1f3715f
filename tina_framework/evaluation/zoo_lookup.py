"""Finding and opening the zoo that belongs to a generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError, PluginError, shorten
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.architecture_registry import split_width
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.manifest import manifest_sha256
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


def find_zoo(generator: Generator, model_folder: Path | None = None) -> tuple[Path | None, str]:
    """Find the zoo that the generator's training record names.

    A zoo that an installed package provides comes first. For a generator in a folder of the user, a zoo folder of the recorded
    name may also lie beside the run, or where it lay as seen from the working directory.

    Args:
        generator: the generator.
        model_folder: the folder of the generator, if it is one of the user's own.

    Returns:
        The folder and an empty string, or None and the reason why there is no zoo.
    """
    training = generator.config.training
    name, hashes = training_setting(training, "zoo"), training.get("zoos_sha256")
    if not isinstance(hashes, Mapping):
        return _find(name, training.get("zoo_sha256"), model_folder, is_one_of_several=False)
    # A generator of several architectures may have learnt each from another zoo. The hash says which.
    others, wanted = training_setting(training, "zoos"), hashes.get(generator.config.architecture)
    names = [name, *(others if isinstance(others, list | tuple) else ())]
    found = [_find(each, wanted, model_folder, is_one_of_several=len(names) > 1) for each in names]
    named = [shorten(Path(each).name) for each in names if isinstance(each, str)]
    if len(named) > 1:
        # Which of them it is, only its hash says.
        reason = (
            f"the generator's zoo with the generic model of '{generator.config.architecture}' was not found (it is one of "
            f"{', '.join(named)}); build it, or give its folder with --zoo"
        )
        found.append((None, reason))
    return next((entry for entry in found if entry[0] is not None), found[-1])


def _find(
    name: object, wanted: object, model_folder: Path | None, *, is_one_of_several: bool
) -> tuple[Path | None, str]:
    """Return the folder of one recorded zoo and an empty string, or None and the reason why it is not taken.

    Args:
        name: as it is recorded.
        wanted: the recorded hash.
        model_folder: the folder of the generator, if it is one of the user's own.
        is_one_of_several: whether a registered zoo must have the hash, too.
    """
    advice = "give its folder with --zoo"
    # A model folder must not make the program read elsewhere. So only the last part of a path is used, as a registered name.
    last = Path(name).name if isinstance(name, str) else ""
    if last in ("", ".."):
        return None, f"the generator names no zoo; {advice}"
    zoos = registries().zoos
    if last not in zoos:
        if model_folder is not None and (near := _near(wanted, model_folder, Path(str(name)))) is not None:
            return near, ""
        return None, f"no installed package provides the generator's zoo '{last}'; {advice}"
    try:
        folder = zoos.target(last)
    except PluginError as error:
        return None, f"{str(error).removesuffix('.')}, or {advice}"
    if is_one_of_several and manifest_sha256(folder) != wanted:
        return None, f"the zoo '{last}' is not the one of this architecture; {advice}"
    return folder, ""


def _near(wanted: object, model_folder: Path, recorded: Path) -> Path | None:
    """Return the folder near the generator whose ``zoo.json`` is the recorded one, or None."""
    # A run has the folders `generator` and `best`, so the zoo may lie beside the generator or beside the run.
    places = [model_folder.parent / recorded.name, model_folder.parent.parent / recorded.name, Path(recorded.name)]
    if not recorded.is_absolute() and ".." not in recorded.parts:
        places.append(recorded)
    # Only a zoo with the recorded hash is read, so that a model folder cannot choose another one.
    return next((place for place in places if wanted is not None and manifest_sha256(place) == wanted), None)


def open_zoo(folder: Path, spec: ParameterSpec) -> Zoo:
    """Open a zoo and check that it has the generator's architecture. A zoo of a wider network is narrowed.

    Raises:
        CheckpointError: the folder is no zoo, is damaged, or holds networks of another architecture.
        ConfigError: it has no generic model of this width.
    """
    zoo = Zoo.open(folder)
    if spec.architecture.widths is not None and split_width(zoo.architecture)[0] == spec.architecture.family:
        zoo = zoo.narrowed(spec)
    if zoo.architecture != spec.architecture.name:
        raise CheckpointError(
            f"The zoo '{folder}' holds '{zoo.architecture}' networks, "
            f"but the generator makes '{spec.architecture.name}'; give the zoo that belongs to it."
        )
    zoo.check(spec)
    # A zoo may store its generic model in half precision; accuracies are measured in float32.
    zoo.generic = {name: tensor.float() for name, tensor in zoo.generic.items()}
    return zoo
