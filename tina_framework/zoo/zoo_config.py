"""The settings of a zoo: everything that decides its contents, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError, shorten
from tina_framework.plugin.architecture_registry import split_width
from tina_framework.plugin.suggest import closest

__all__ = [
    "GENERIC_RECIPE",
    "MAX_MODELS",
    "MODEL_RECIPE",
    "NARROW_RECIPE",
    "ZooConfig",
    "mistakes",
    "mistakes_in_words",
]

MAX_MODELS = 1_000_000
"""Maximum number of p-Models in a zoo. Each of them is a task that is drawn, and a network that is trained."""

_MAX_CLASSES = 100_000
_MAX_VALUE = 1e6
"""Upper bound of epochs, learning rates and weights. Useful values are far below it."""

GENERIC_RECIPE: dict[str, Any] = {"epochs": 60, "batch_size": 128, "lr": 0.1, "weight_decay": 1e-4}
"""The learning rate falls to zero along a cosine. A generic model that is not trained to the end would make everything
that continues its training look better than it is."""

MODEL_RECIPE: dict[str, Any] = {"epochs": 20, "batch_size": 128, "lr": 0.05, "weight_decay": 1e-4}
"""How a p-Model is trained, starting from the generic model."""

NARROW_RECIPE: dict[str, Any] = {"epochs": 60, "lr": 0.05}
"""What the generic model of a narrower width changes in the recipe of the widest one. It starts from trained weights."""


@dataclass(frozen=True)
class ZooConfig:
    """Settings of `tina zoo build`, as recorded in ``zoo.json``.

    Args:
        architecture: registry name of the target architecture.
        dataset: registry name of the data set and its argument, without folders.
        train_split: the images to train on, ``train`` or ``train+validation``.
        held_out_classes: classes that neither the generic model nor any p-Model is trained on.
        num_models: how many p-Models.
        seed: seed of the tasks, the generic model and the p-Models.
        shared_order: every p-Model sees its images in the same order, with the same flips and shifts. Then p-Models differ less by
            training noise, and more by their classes.
        schemes: sampling scheme of tasks -> weight.
        class_counts: number of classes of a task -> weight.
        generic: fields of `tina_framework.targets.sgd.SGDRecipe` for the generic model.
        model: the same for the p-Models.
        shard_size: how many p-Models a shard file holds.
        teacher: SHA-256 of the teacher's table that the recipes use; empty without one.
        generic_widths: other widths of the architecture's family that have a generic model of their own, in rising order. All are
            below that of `architecture`; see `tina_framework.zoo.narrower`.
        narrow: fields of `generic` that these narrower models change. The fields of `NARROW_RECIPE` that it leaves out are added.
    """

    architecture: str = "cnn-2layer"
    dataset: str = ""
    train_split: str = "train"
    held_out_classes: list[str] = field(default_factory=list)
    num_models: int = 400
    seed: int = 0
    shared_order: bool = True
    schemes: dict[str, float] = field(default_factory=lambda: {"random": 1.0})
    class_counts: dict[int, float] = field(default_factory=lambda: {10: 1.0})
    generic: dict[str, Any] = field(default_factory=lambda: dict(GENERIC_RECIPE))
    model: dict[str, Any] = field(default_factory=lambda: dict(MODEL_RECIPE))
    shard_size: int = 64
    teacher: str = ""
    generic_widths: tuple[float, ...] = ()
    narrow: dict[str, Any] = field(default_factory=lambda: dict(NARROW_RECIPE))

    def __post_init__(self) -> None:
        for f in fields(self):  # scalars of NumPy become plain numbers, because JSON and the seeds need those
            object.__setattr__(self, f.name, _plain(getattr(self, f.name)))
        found = mistakes(self.to_json()) or [*self._seed_mistakes(), *self._width_mistakes()]
        if found:
            raise ConfigError(f"A zoo with these settings cannot be built: {mistakes_in_words(found)}.")
        # Six digits are what names of architectures have.
        object.__setattr__(self, "generic_widths", tuple(sorted(float(f"{width:g}") for width in self.generic_widths)))
        object.__setattr__(self, "narrow", NARROW_RECIPE | dict(self.narrow))

    def _seed_mistakes(self) -> list[str]:
        # Torch takes seeds of 64 bits. The seed of an epoch is that of the model times 1,000,003; see `epoch_draws`.
        limit = 2**63 // 1_000_003 - int(_MAX_VALUE)
        if not self.shared_order:
            limit = limit // 1_000_003 - 2
        if abs(self.seed) <= limit:
            return []
        return [f"'seed' is {shorten(self.seed)}, expected a whole number from {-limit} to {limit}"]

    def _width_mistakes(self) -> list[str]:
        if not self.generic_widths:
            if self.narrow in ({}, NARROW_RECIPE):
                return []
            return ["'narrow' is set, but 'generic_widths' names no narrower width; set both, or leave out 'narrow'"]
        _, given = split_width(self.architecture)
        widest = 1.0 if given is None else given
        wide = [f"{width:g}" for width in self.generic_widths if float(f"{width:g}") >= widest]
        if not wide:
            return []
        return [
            f"'generic_widths' has {', '.join(wide)}, expected widths below {widest:g}, that of 'architecture' "
            f"({shorten(self.architecture)}), which names the widest"
        ]

    @property
    def narrow_recipe(self) -> dict[str, Any]:
        """Fields of `tina_framework.targets.sgd.SGDRecipe` for the generic models of `generic_widths`."""
        return {**self.generic, **self.narrow}

    @property
    def num_shards(self) -> int:
        return -(-self.num_models // self.shard_size)

    def shard_ids(self, shard: int) -> range:
        """Return the model ids of a shard."""
        return range(shard * self.shard_size, min(self.num_models, (shard + 1) * self.shard_size))

    def model_seed(self, model_id: int) -> int:
        """Return the seed of a p-Model's image order, flips and shifts."""
        # Multiplying by a large prime keeps the seeds of zoos with different seeds apart.
        return self.seed if self.shared_order else self.seed * 1_000_003 + model_id + 1

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        if isinstance(self.class_counts, Mapping):
            value["class_counts"] = {str(count): weight for count, weight in self.class_counts.items()}
        if not self.teacher:  # left out, so that zoos without a teacher keep their digests
            del value["teacher"]
        if isinstance(self.generic_widths, tuple):
            value["generic_widths"] = list(self.generic_widths)
        if value["generic_widths"] == []:  # left out for the same reason
            del value["generic_widths"], value["narrow"]
        return value

    @classmethod
    def from_json(cls, value: Any) -> ZooConfig:
        """Read what `to_json` wrote.

        Raises:
            CheckpointError: a key is missing or unknown, or a value is of a wrong type or out of range.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(value, Mapping):
            raise CheckpointError(f"The zoo's settings are {shorten(value)}, not an object; rebuild the zoo.")
        odd_keys = (set(value) ^ names) - {"teacher", "generic_widths", "narrow"}
        if odd_keys:
            odd = shorten(", ".join(sorted(odd_keys)))[1:-1]
            raise CheckpointError(f"The zoo's settings have missing or unknown keys: {odd}; rebuild the zoo.")
        found = mistakes(value)
        if found:
            raise CheckpointError(f"The zoo's settings are damaged: {mistakes_in_words(found)}. Restore or rebuild it.")
        counts = {int(count): float(weight) for count, weight in value["class_counts"].items()}
        try:
            return cls(**{**value, "class_counts": counts})
        except ConfigError as error:
            raise CheckpointError(f"{error} Restore or rebuild the zoo.") from None

    def differences(self, other: ZooConfig) -> list[str]:
        """Return the names of the settings in which two zoos differ. How they are cut into shards does not count."""
        return [
            f.name for f in fields(self) if f.name != "shard_size" and getattr(self, f.name) != getattr(other, f.name)
        ]


def _plain(value: Any) -> Any:
    if getattr(value, "ndim", None) == 0:
        return value.item()
    if isinstance(value, Mapping):
        return {_plain(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _between(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    return lambda value: low <= value <= high, f"{low:,.12g} to {high:,.12g}"


_NUMBERS = {
    "num_models": _between(0, MAX_MODELS),
    "shard_size": _between(1, MAX_MODELS),
}

_RECIPE: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "epochs": (float, lambda value: 0 < value <= _MAX_VALUE, "a number above 0, up to 1,000,000"),
    "batch_size": (int, lambda value: 1 <= value <= _MAX_VALUE, "1 to 1,000,000"),
    "lr": (float, lambda value: 0 < value <= _MAX_VALUE, "a number above 0, up to 1,000,000"),
    "momentum": (float, lambda value: 0 <= value < 1, "0 or more and less than 1"),
    "weight_decay": (float, lambda value: 0 <= value <= _MAX_VALUE, "a number from 0 to 1,000,000"),
    "nesterov": (bool, lambda value: True, ""),
    "warmup_epochs": (float, lambda value: 0 <= value <= _MAX_VALUE, "a number from 0 to 1,000,000"),
    "flip": (bool, lambda value: True, ""),
    "image_shift": (int, lambda value: 0 <= value <= _MAX_VALUE, "a whole number from 0 to 1,000,000"),
    "average_last": (float, lambda value: 0 <= value <= 1, "a share from 0 to 1"),
    "precision": (str, lambda value: value in ("auto", "fp32", "bf16"), "auto, fp32 or bf16"),
    "teacher_weight": (float, lambda value: 0 <= value <= 1, "a share from 0 to 1"),
    "teacher_temperature": (float, lambda value: 0 < value <= _MAX_VALUE, "a number above 0, up to 1,000,000"),
}
"""Field of a recipe -> type, check, and the check in words."""

_TYPES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings, as JSON or TOML has them: one phrase for each mistake.

    Whether a class count fits the data set shows only when tasks are drawn.
    """
    known = {f.name: f for f in fields(ZooConfig)}
    found = []
    for name, value in values.items():
        if name not in known:
            found.append(_unknown(name, list(known)))
        elif name == "held_out_classes":
            if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
                found.append(f"'{name}' is {shorten(value)}, expected a list of class names")
        elif name == "generic_widths":
            found += _width_list_mistakes(value)
        elif name in ("schemes", "class_counts", "generic", "model", "narrow"):
            if not isinstance(value, Mapping):
                found.append(f"'{name}' is {shorten(value)}, expected a table")
            elif name in ("generic", "model", "narrow"):
                found += _recipe_mistakes(name, value)
            else:
                found += _weight_mistakes(name, value)
        else:
            kind = {"int": int, "bool": bool, "str": str}[str(known[name].type)]
            if not _is(value, kind):
                found.append(f"'{name}' is {shorten(value)}, expected {_TYPES[kind]}")
            elif name in _NUMBERS and not _NUMBERS[name][0](value):
                found.append(f"'{name}' is {shorten(value)}, expected {_NUMBERS[name][1]}")
            elif name == "train_split" and value not in ("train", "train+validation"):
                found.append(f"'{name}' is {shorten(value)}, expected 'train' or 'train+validation'")
    return found


def _width_list_mistakes(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(_is(width, float) and 0 < width <= _MAX_VALUE for width in value):
        return [f"'generic_widths' is {shorten(value)}, expected a list of numbers above 0"]
    names = [f"{width:g}" for width in value]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"'generic_widths' has {', '.join(twice)} twice, expected each width once"] if twice else []


def mistakes_in_words(found: list[str], most: int = 10) -> str:
    """Join mistakes to a sentence without its full stop."""
    rest = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join(found[:most] + rest)


def _weight_mistakes(table: str, values: Mapping[Any, Any]) -> list[str]:
    found = []
    for name, weight in values.items():
        where = shorten(f"{table}.{name}")[1:-1]
        if not _is(weight, float) or not 0 <= weight <= _MAX_VALUE:
            found.append(f"'{where}' is {shorten(weight)}, expected a number from 0 to 1,000,000")
        if table == "class_counts" and not (_digits(name) and 2 <= int(name) <= _MAX_CLASSES):
            found.append(f"class_counts has {shorten(name)}, expected a whole number from 2 to {_MAX_CLASSES:,}")
    return found


def _digits(name: Any) -> bool:
    text = str(name)
    return len(text) <= 9 and text.isascii() and text.isdigit()  # longer numbers would take long to read


def _recipe_mistakes(table: str, values: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in values.items():
        if name not in _RECIPE:
            found.append(_unknown(f"{table}.{name}", [f"{table}.{key}" for key in _RECIPE]))
            continue
        kind, fits, words = _RECIPE[name]
        if not _is(value, kind):
            found.append(f"'{table}.{name}' is {shorten(value)}, expected {_TYPES[kind]}")
        elif not fits(value):
            found.append(f"'{table}.{name}' is {shorten(value)}, expected {words}")
    return found


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        # An integer may have any number of digits, so it is not converted.
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and math.isfinite(value)
        )
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _unknown(name: Any, known: list[str]) -> str:
    text = shorten(str(name))
    close = closest(str(name)[:80], known)
    return f"unknown field {text}" + (f" (did you mean '{close[0]}'?)" if close else "")
