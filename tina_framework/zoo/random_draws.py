"""Weighted choices and shuffles.

They use only `random.Random.random`, whose stream Python guarantees across versions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from tina_framework.errors import ConfigError

T = TypeVar("T")


def weights(kind: str, given: Mapping[T, float]) -> dict[T, float]:
    """Return the weights above 0, as floats.

    Args:
        kind: what the weights belong to, for messages.
        given: name -> weight.

    Raises:
        ConfigError: a weight is negative or not finite, or no weight is above 0.
    """
    for name, weight in given.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"The weight of {kind} '{name}' is {weight}; weights are finite numbers from 0 up.")
    positive = {name: float(weight) for name, weight in given.items() if weight > 0}
    if not positive:
        raise ConfigError(f"No {kind} has a weight above 0; give at least one.")
    return positive


def choose(rng: random.Random, given: Mapping[T, float]) -> T:
    """Return one key, with a probability proportional to its weight."""
    place = rng.random() * sum(given.values())
    for value, weight in given.items():
        place -= weight
        if place < 0:
            return value
    return value  # reached if rounding leaves `place` at 0


def shuffled(rng: random.Random, values: Sequence[T], number: int) -> list[T]:
    """Return `number` of the values in random order (Fisher-Yates, stopped early)."""
    pool = list(values)
    for i in range(number):
        j = i + int(rng.random() * (len(pool) - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:number]


def in_turn(rng: random.Random, groups: Sequence[Sequence[str]], number: int) -> list[str]:
    """Return `number` names, one from each group in turn, round after round. The groups must hold enough names."""
    queues = [shuffled(rng, group, len(group)) for group in groups]
    taken: list[str] = []
    while len(taken) < number:
        for queue in queues:
            if queue and len(taken) < number:
                taken.append(queue.pop())
    return taken
