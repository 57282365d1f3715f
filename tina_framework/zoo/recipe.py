"""Reading a zoo's settings from a TOML file and the command line. This module does not import torch."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.plugin.suggest import closest
from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE, ZooConfig

__all__ = ["load_recipe"]

_TABLES = {"schemes", "class_counts", "generic", "model"}
_RECIPE_KEYS = {
    "epochs": float,
    "batch_size": int,
    "lr": float,
    "momentum": float,
    "weight_decay": float,
    "nesterov": bool,
    "warmup_epochs": float,
    "flip": bool,
    "average_last": float,
    "precision": str,
}

_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda value: 0 < value < math.inf, "a number above 0"),
    "batch_size": (lambda value: value >= 1, "at least 1"),
    "lr": (lambda value: 0 < value < math.inf, "a number above 0"),
    "momentum": (lambda value: 0 <= value < 1, "0 or more and less than 1"),
    "weight_decay": (lambda value: 0 <= value < math.inf, "a number of at least 0"),
    "warmup_epochs": (lambda value: 0 <= value < math.inf, "a number of at least 0"),
    "average_last": (lambda value: 0 <= value <= 1, "a share from 0 to 1"),
    "precision": (lambda value: value in ("auto", "fp32", "bf16"), "auto, fp32 or bf16"),
}


def load_recipe(path: Path | None, overrides: dict[str, Any]) -> ZooConfig:
    """Return the settings of a TOML file, changed by those given on the command line.

    A table ``[generic]`` or ``[model]`` changes the fields it names; the others keep their defaults.

    Args:
        path: the TOML file; None: defaults only.
        overrides: field -> value; None means that the option was not given.

    Raises:
        ConfigError: the file is missing or malformed, or has unknown or mistyped fields. The message names all of
            them.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"The recipe '{path}' cannot be read: {error}.") from error
    values |= {name: value for name, value in overrides.items() if value is not None}
    mistakes = _mistakes(values)
    if mistakes:
        raise ConfigError(f"The zoo recipe has {len(mistakes)} mistake(s): " + "; ".join(mistakes) + ".")
    values["generic"] = GENERIC_RECIPE | values.get("generic", {})
    values["model"] = MODEL_RECIPE | values.get("model", {})
    if "class_counts" in values:
        values["class_counts"] = {int(count): float(weight) for count, weight in values["class_counts"].items()}
    return ZooConfig(**values)


def _mistakes(values: dict[str, Any]) -> list[str]:
    known = {f.name: f for f in fields(ZooConfig)}
    found = []
    for name, value in values.items():
        if name not in known:
            found.append(_unknown(name, list(known)))
        elif name == "held_out_classes":
            if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
                found.append(f"'{name}' is {value!r}, expected a list of class names")
        elif name in _TABLES:
            if not isinstance(value, dict):
                found.append(f"'{name}' is {value!r}, expected a table")
            elif name in ("generic", "model"):
                found += _recipe_mistakes(name, value)
            else:
                found += [f"{name}.{k} is {v!r}, expected a number" for k, v in value.items() if not _is(v, float)]
                if name == "class_counts":
                    found += [f"class_counts has '{k}', expected a whole number" for k in value if not str(k).isdigit()]
        else:
            kind = {"int": int, "bool": bool, "str": str}[str(known[name].type)]
            if not _is(value, kind):
                found.append(f"'{name}' is {value!r}, expected {kind.__name__}")
    return found


def _recipe_mistakes(table: str, values: dict[str, Any]) -> list[str]:
    found = []
    for name, value in values.items():
        if name not in _RECIPE_KEYS:
            found.append(_unknown(f"{table}.{name}", [f"{table}.{key}" for key in _RECIPE_KEYS]))
        elif not _is(value, _RECIPE_KEYS[name]):
            found.append(f"'{table}.{name}' is {value!r}, expected {_RECIPE_KEYS[name].__name__}")
        elif name in _RANGES and not _RANGES[name][0](value):
            found.append(f"'{table}.{name}' is {value!r}, expected {_RANGES[name][1]}")
    return found


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _unknown(name: str, known: list[str]) -> str:
    close = closest(name, known)
    return f"unknown field '{name}'" + (f" (did you mean '{close[0]}'?)" if close else "")
