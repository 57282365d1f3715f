"""Read the settings of a zoo from a TOML file and the command line. This module does not import torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError
from tina_framework.storage.paths import user_path
from tina_framework.storage.toml import read_toml
from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE, ZooConfig, mistakes, mistakes_in_words

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["complete_recipe", "load_recipe", "read_recipe"]


def load_recipe(path: Path | None, overrides: dict[str, Any]) -> ZooConfig:
    """Return the settings of a TOML file, changed by those given on the command line, with the fixed defaults.

    A table ``[generic]``, ``[model]`` or ``[narrow]`` changes the fields it names; the others keep their defaults. For arguments and
    errors see `read_recipe`.
    """
    values = read_recipe(path, overrides)
    values["generic"] = GENERIC_RECIPE | values.get("generic", {})
    values["model"] = MODEL_RECIPE | values.get("model", {})
    return ZooConfig(**values)


def complete_recipe(values: dict[str, Any], dataset: Dataset, spec: ParameterSpec) -> ZooConfig:
    """Return the settings of a zoo, with defaults that follow the data set; see `tina_framework.zoo.small_data`.

    Args:
        values: the fields that the user set, from `read_recipe`.
        dataset: the data set to build from.
        spec: the parameters of the architecture.

    Raises:
        ConfigError: the data set lacks a held-out class.
        DataError: the training images cannot be read.
    """
    from tina_framework.zoo.image_bank import for_architecture, load_split
    from tina_framework.zoo.small_data import FEW_CLASSES, default_class_counts, small_narrow_recipe, small_recipes
    from tina_framework.zoo.subset import without_classes
    from tina_framework.zoo.task_sampler import sample_tasks

    # At the size that the build will read, because a data set keeps its pictures once they are read.
    dataset = for_architecture(without_classes(dataset, values.get("held_out_classes", ())), spec.architecture)
    num_images = len(load_split(dataset, values.get("train_split", "train")))
    generic, model = small_recipes(num_images, values.get("generic", {}), values.get("model", {}))
    values = {**values, "generic": generic, "model": model}
    if values.get("generic_widths"):
        values["narrow"] = small_narrow_recipe(num_images, generic, values.get("narrow", {}))
    values.setdefault("class_counts", default_class_counts(len(dataset.class_names)))
    config = ZooConfig(**values)
    if "num_models" in values or len(dataset.class_names) >= FEW_CLASSES:
        return config
    # Few classes have few sets, and every p-Model needs its own.
    return replace(config, num_models=len(sample_tasks(config, dataset, allow_fewer=True)))


def read_recipe(path: Path | None, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a TOML file and the command line set, checked.

    Args:
        path: the TOML file; None: defaults only.
        overrides: field -> value; None means that the option was not given.

    Raises:
        ConfigError: the file is missing or malformed, or has unknown, mistyped or unusable fields. The message names
            them.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = read_toml(user_path(path), "recipe")
    values |= {name: value for name, value in overrides.items() if value is not None}
    found = mistakes(values)
    if found:
        raise ConfigError(f"The zoo recipe has {len(found)} mistake(s): {mistakes_in_words(found)}.")
    if "class_counts" in values:
        values["class_counts"] = {int(count): float(weight) for count, weight in values["class_counts"].items()}
    return values
