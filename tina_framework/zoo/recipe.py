"""Read the settings of a zoo from a TOML file and the command line. This module does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.storage.paths import user_path
from tina_framework.storage.toml import read_toml
from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE, ZooConfig, mistakes, mistakes_in_words

__all__ = ["load_recipe"]


def load_recipe(path: Path | None, overrides: dict[str, Any]) -> ZooConfig:
    """Return the settings of a TOML file, changed by those given on the command line.

    A table ``[generic]`` or ``[model]`` changes the fields it names; the others keep their defaults.

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
    values["generic"] = GENERIC_RECIPE | values.get("generic", {})
    values["model"] = MODEL_RECIPE | values.get("model", {})
    if "class_counts" in values:
        values["class_counts"] = {int(count): float(weight) for count, weight in values["class_counts"].items()}
    return ZooConfig(**values)
