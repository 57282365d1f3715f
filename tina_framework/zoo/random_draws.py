"""Weighted choices and shuffles from `random.Random.random` alone, whose stream Python guarantees across versions."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from tina_framework.errors import ConfigError

T = TypeVar("T")


def weights(kind: str, given: Mapping[T, float]) -> dict[T, float]:
    """The weights above 0.

    Raises:
        ConfigError: a weight is negative or not finite, or none is above 0.
    """
    for name, weight in given.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"The weight of {kind} '{name}' is {weight}; weights are finite numbers from 0 up.")
    positive = {name: float(weight) for name, weight in given.items() if weight > 0}
    if not positive:
        raise ConfigError(f"No {kind} has a weight above 0; give at least one.")
    return positive


def choose(rng: random.Random, given: Mapping[T, float]) -> T:
    """One key, with a probability in proportion to its weight."""
    place = rng.random() * sum(given.values())
    for value, weight in given.items():
        place -= weight
        if place < 0:
            return value
    return value  # rounding at the upper end


def shuffled(rng: random.Random, values: Sequence[T], number: int) -> list[T]:
    """`number` of the values in random order (Fisher-Yates, stopped early)."""
    pool = list(values)
    for i in range(number):
        j = i + int(rng.random() * (len(pool) - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:number]


def in_turn(rng: random.Random, groups: Sequence[Sequence[str]], number: int) -> list[str]:
    """One name of each group in turn, round after round, until there are `number`."""
    queues = [shuffled(rng, group, len(group)) for group in groups]
    taken: list[str] = []
    while len(taken) < number:
        for queue in queues:
            if queue and len(taken) < number:
                taken.append(queue.pop())
    return taken
