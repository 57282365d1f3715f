"""Defaults that follow the data: class counts for few classes, and SGD recipes for few images.

Data sets of `FEW_CLASSES` classes or more, and of as many images as CIFAR-100 has, keep the fixed defaults.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tina_framework.zoo.reservation import reserves
from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE, NARROW_RECIPE

__all__ = [
    "FEW_CLASSES",
    "count_words",
    "default_class_counts",
    "default_max_steps",
    "reservation_note",
    "small_narrow_recipe",
    "small_recipes",
]

FEW_CLASSES = 20
"""Below this number of classes, tasks have 2 to all classes by default. From it on, they have ten classes."""

_FEW_CLASSES_STEPS = 500
_HEAD_STEPS = 300
_MIN_STEPS = 2000
_SMALL_BATCH = 32


def default_class_counts(num_classes: int, largest: int | None = None) -> dict[int, float]:
    """Return the class counts of tasks with their weights.

    Args:
        num_classes: number of classes that tasks are drawn from.
        largest: the largest count allowed; None: no limit.
    """
    limit = num_classes if largest is None else min(largest, num_classes)
    if num_classes < FEW_CLASSES:
        return dict.fromkeys(range(2, limit + 1), 1.0)
    return {min(10, limit): 1.0}


def default_max_steps(num_classes: int, is_head: bool) -> int | None:
    """Return how many steps a generator trains by default with `num_classes` training classes; None: the fixed default.

    With few classes, validation accuracy stops rising early (docs/experiments/training.md, "Few classes"). A head on a frozen
    trunk (`ParameterSpec.is_head`) needs fewer steps still, because training starts from a regression of its rows.
    """
    if num_classes >= FEW_CLASSES:
        return None
    return _HEAD_STEPS if is_head else _FEW_CLASSES_STEPS


def small_recipes(
    num_images: int, generic: Mapping[str, Any], model: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the SGD recipes of the generic model and of the p-Models for a number of training images.

    With few images, the default recipe would end after a few dozen steps. Then batches have 32 images, and the generic model
    trains for at least 2,000 steps, as far as the user left these fields open.

    Args:
        num_images: number of training images.
        generic: the fields that the user set for the generic model.
        model: the same for the p-Models.
    """
    found = GENERIC_RECIPE | dict(generic), MODEL_RECIPE | dict(model)
    if num_images // GENERIC_RECIPE["batch_size"] * GENERIC_RECIPE["epochs"] >= _MIN_STEPS:
        return found
    for recipe, given in zip(found, (generic, model), strict=True):
        if "batch_size" not in given:
            recipe["batch_size"] = _SMALL_BATCH
    if "epochs" not in generic:
        found[0]["epochs"] = _enough_epochs(num_images, found[0]["batch_size"], GENERIC_RECIPE["epochs"])
    return found


def small_narrow_recipe(num_images: int, generic: Mapping[str, Any], narrow: Mapping[str, Any]) -> dict[str, Any]:
    """Return what generic models of narrower widths change in the recipe of the widest; see `ZooConfig.narrow`.

    They train for at least 2,000 steps, too, if the user left their epochs open.

    Args:
        num_images: number of training images.
        generic: the recipe of the widest.
        narrow: the fields that the user set for the narrower ones.
    """
    found = NARROW_RECIPE | dict(narrow)
    if "epochs" not in narrow:
        batch_size = (GENERIC_RECIPE | dict(generic) | found)["batch_size"]
        found["epochs"] = _enough_epochs(num_images, batch_size, found["epochs"])
    return found


def _enough_epochs(num_images: int, batch_size: int, least: float) -> float:
    return max(least, math.ceil(_MIN_STEPS / max(1, num_images // batch_size)))


def reservation_note(num_classes: int, counts: Iterable[int]) -> str | None:
    """Return a sentence about the class counts of which no set is reserved for evaluation; None if there are none."""
    open_counts = [count for count in counts if 2 <= count <= num_classes and not reserves(num_classes, count)]
    if not open_counts:
        return None
    return (
        f"{num_classes} classes allow too few sets of {count_words(open_counts)} classes to reserve any for evaluation: "
        "training may use all of these sets, and new pictures measure them."
    )


def count_words(counts: Collection[int]) -> str:
    """Return class counts in words: ``2, 9 and 10``, or ``2 to 10`` for all from 2 to 10."""
    ordered = sorted(counts)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    *first, last = map(str, ordered)
    return f"{', '.join(first)} and {last}" if first else last
