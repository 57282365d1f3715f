"""Drawing tasks: which classes are asked for together, never leaving the partition the caller may use.

Task number i of a sampler depends on its settings, the seed and i alone, so shards, resumed runs and processes need
no common state. Only `random.Random.random` is used, whose stream Python guarantees across versions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count as count_from

from tina_framework.errors import ConfigError, DataError
from tina_framework.zoo.random_draws import choose, in_turn, shuffled, weights
from tina_framework.zoo.reservation import PARTITIONS, partition_of
from tina_framework.zoo.tasks import Task

__all__ = ["SCHEMES", "TaskSampler"]

SCHEMES = ("random", "two-superclasses", "ten-superclasses")

# With 5 % of all class sets (the smallest partition) the chance that so many draws all miss is below 1e-80; a space so
# small that one of 200 sets is usable is still found in all but one of 10^8 cases.
_ATTEMPTS = 4000
_DUPLICATES_IN_A_ROW = 4000


class TaskSampler:
    """Draws tasks of one partition.

    Schemes, for a task of K classes:

    - ``random``: any K classes.
    - ``two-superclasses``: classes of two superclasses, in equal shares as far as they reach: similar classes. Where no
      two superclasses hold K classes, as few superclasses as can.
    - ``ten-superclasses``: every class from a superclass of its own, as far as there are superclasses: different classes.

    Args:
        class_names: the classes to draw from.
        superclasses: for each class the index of its superclass; needed by the last two schemes.
        partition: ``train``, ``validation`` or ``test`` (see `partition_of`).
        schemes: scheme -> weight.
        class_counts: class count (at least 2) -> weight.
        seed: any integer.
        split: the label every task gets.

    Raises:
        ConfigError: an unknown scheme or partition, a weight that is negative, not finite or zero in sum, or a class
            count that the classes do not allow.
        DataError: the partition holds no class set at all for some scheme and class count.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        superclasses: Sequence[int] | None = None,
        *,
        partition: str = "train",
        schemes: Mapping[str, float] | None = None,
        class_counts: Mapping[int, float] | None = None,
        seed: int = 0,
        split: str | None = None,
    ) -> None:
        self.class_names = tuple(class_names)
        self.partition = partition
        self.seed = seed
        self.split = split
        self._schemes = weights("scheme", schemes if schemes is not None else {"random": 1.0})
        self._counts = weights("class count", {10: 1.0} if class_counts is None else class_counts)
        self._check(superclasses)
        members: dict[int, list[str]] = {}
        for name, superclass in zip(self.class_names, superclasses or (), strict=False):
            members.setdefault(superclass, []).append(name)
        self._members = [members[superclass] for superclass in sorted(members)]
        for scheme in self._schemes:
            for num_classes in self._counts:
                self._draw(random.Random(f"{seed}/probe"), scheme, num_classes)

    def _check(self, superclasses: Sequence[int] | None) -> None:
        if self.partition not in PARTITIONS:
            raise ConfigError(f"Unknown partition '{self.partition}'; choose one of {', '.join(PARTITIONS)}.")
        if superclasses is not None and len(superclasses) != len(self.class_names):
            raise ConfigError(
                f"{len(self.class_names)} classes but {len(superclasses)} superclass entries; give one each."
            )
        for scheme in self._schemes:
            if scheme not in SCHEMES:
                raise ConfigError(f"Unknown sampling scheme '{scheme}'; choose from {', '.join(SCHEMES)}.")
            if scheme != "random" and superclasses is None:
                raise ConfigError(
                    f"The sampling scheme '{scheme}' needs superclasses, which the data set lacks; use 'random'."
                )
        for num_classes in self._counts:
            if not 2 <= num_classes <= len(self.class_names):
                raise ConfigError(
                    f"A task of {num_classes} classes cannot be drawn from {len(self.class_names)} classes; "
                    f"choose a class count from 2 to {len(self.class_names)}."
                )

    def task(self, index: int) -> Task:
        """Task number `index`; the same in every process, on every machine."""
        rng = random.Random(f"{self.seed}/{index}")
        scheme = choose(rng, self._schemes)
        return self._draw(rng, scheme, choose(rng, self._counts))

    def tasks(self, number: int, *, allow_fewer: bool = False) -> list[Task]:
        """The first `number` tasks with different class sets.

        Raises:
            DataError: there are not that many, and `allow_fewer` is not set.
        """
        found: list[Task] = []
        for task in self.unique():
            if len(found) == number:
                break
            found.append(task)
        if len(found) < number and not allow_fewer:
            raise DataError(
                f"Only {len(found)} different tasks found of {number} asked for (schemes {', '.join(self._schemes)}; "
                f"class counts {', '.join(map(str, self._counts))}; partition '{self.partition}'). "
                f"Ask for at most {len(found)}, or allow other schemes or class counts."
            )
        return found

    def unique(self) -> Iterator[Task]:
        """Tasks 0, 1, ... without those whose class set came before; ends when nothing new turns up."""
        seen: set[frozenset[str]] = set()
        duplicates = 0
        for index in count_from():
            task = self.task(index)
            if task.class_set not in seen:
                seen.add(task.class_set)
                duplicates = 0
                yield task
            elif (duplicates := duplicates + 1) == _DUPLICATES_IN_A_ROW:
                return

    def _draw(self, rng: random.Random, scheme: str, num_classes: int) -> Task:
        for _ in range(_ATTEMPTS):
            names = self._propose(rng, scheme, num_classes)
            if names is not None and partition_of(names) == self.partition:
                return Task(tuple(names), self.split)
        raise DataError(
            f"No set of {num_classes} of these {len(self.class_names)} classes (scheme '{scheme}') was found in the "
            f"partition '{self.partition}': there are too few such sets. Use another class count, or more classes."
        )

    def _propose(self, rng: random.Random, scheme: str, num_classes: int) -> list[str] | None:
        """Class names in random order, of any partition; None if the superclasses drawn are too small."""
        if scheme == "random":
            return shuffled(rng, self.class_names, num_classes)
        if scheme == "two-superclasses":
            groups = shuffled(rng, self._members, self._superclasses_needed(num_classes))
            if sum(map(len, groups)) < num_classes:
                return None
        else:
            groups = shuffled(rng, self._members, len(self._members))
        return shuffled(rng, in_turn(rng, groups, num_classes), num_classes)

    def _superclasses_needed(self, num_classes: int) -> int:
        """At least two, and as many as the largest superclasses need to hold `num_classes`."""
        held = 0
        for number, size in enumerate(sorted(map(len, self._members), reverse=True), start=1):
            held += size
            if number >= 2 and held >= num_classes:
                return number
        return len(self._members)
