"""Drawing tasks, that is class sets, from one partition only.

Task number i of a sampler depends only on its settings, the seed and i. So shards, resumed runs and processes need no
common state. Only `random.Random.random` is used, whose stream Python guarantees across versions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count as count_from
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError, DataError
from tina_framework.zoo.random_draws import choose, in_turn, shuffled, weights
from tina_framework.zoo.reservation import PARTITIONS, partition_of, reserves
from tina_framework.zoo.tasks import Task

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["SCHEMES", "TaskSampler", "sample_tasks"]

SCHEMES = ("random", "two-superclasses", "ten-superclasses")

# The smallest partition holds 5 % of all class sets, so the chance that 4000 draws all miss it is below 1e-80. Even if
# only one of 200 sets is usable, the draws miss it in one of 10^8 cases only.
_ATTEMPTS = 4000
_DUPLICATES_IN_A_ROW = 4000


class TaskSampler:
    """Draws tasks of one partition.

    Schemes, for a task of K classes:

    - ``random``: any K classes.
    - ``two-superclasses``: similar classes, from two superclasses in equal shares as far as they reach. If no two
      superclasses hold K classes, as few superclasses as possible are used.
    - ``ten-superclasses``: different classes, each from its own superclass as long as there are enough superclasses.

    Args:
        class_names: the classes to draw from.
        superclasses: the index of each class's superclass; needed by the last two schemes.
        partition: ``train``, ``validation`` or ``test`` (see `partition_of`). Class counts of which nothing is reserved
            (see `reserves`) belong to ``train``.
        schemes: scheme -> weight.
        class_counts: class count (at least 2) -> weight.
        seed: any integer.
        split: the split that every task is labelled with.
        num_trained: number of classes that training draws from, which decides of which class counts sets are reserved.
            None: as many as `class_names`.

    Raises:
        ConfigError: an unknown scheme or partition; a weight that is negative or not finite; weights that sum to
            zero; or a class count that the classes do not allow.
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
        num_trained: int | None = None,
    ) -> None:
        self.class_names = tuple(class_names)
        self.partition = partition
        self.seed = seed
        self.split = split
        self._num_trained = len(class_names) if num_trained is None else num_trained
        self._schemes = weights("scheme", schemes if schemes is not None else {"random": 1.0})
        self._counts = weights("class count", {10: 1.0} if class_counts is None else class_counts)
        self._check(superclasses)
        members: dict[int, list[str]] = {}
        for name, superclass in zip(self.class_names, superclasses or (), strict=False):
            members.setdefault(superclass, []).append(name)
        self._members = [members[superclass] for superclass in sorted(members)]
        # One trial draw of each kind: settings that allow no task fail now and not in the middle of a run.
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
            if self.partition != "train" and not reserves(self._num_trained, num_classes):
                raise DataError(
                    f"{self._num_trained} classes allow too few sets of {num_classes} to reserve any for the partition "
                    f"'{self.partition}'. Use another class count, or more classes."
                )

    def task(self, index: int) -> Task:
        """Return task number `index`. It is the same in every process, on every machine."""
        rng = random.Random(f"{self.seed}/{index}")
        scheme = choose(rng, self._schemes)
        return self._draw(rng, scheme, choose(rng, self._counts))

    def tasks(self, number: int, *, allow_fewer: bool = False) -> list[Task]:
        """Return the first `number` tasks with different class sets.

        Raises:
            DataError: there are fewer, and `allow_fewer` is not set.
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
        """Yield tasks 0, 1, ... without repeated class sets; stop when no new one turns up any more."""
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
            if names is not None and partition_of(names, self._num_trained) == self.partition:
                return Task(tuple(names), self.split)
        raise DataError(
            f"No set of {num_classes} of these {len(self.class_names)} classes (scheme '{scheme}') was found in the "
            f"partition '{self.partition}': there are too few such sets. Use another class count, or more classes."
        )

    def _propose(self, rng: random.Random, scheme: str, num_classes: int) -> list[str] | None:
        """Return class names in random order, of any partition; None if the superclasses drawn are too small."""
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
        """Return how many superclasses to draw: at least two, and enough of the largest to hold `num_classes`."""
        held = 0
        for number, size in enumerate(sorted(map(len, self._members), reverse=True), start=1):
            held += size
            if number >= 2 and held >= num_classes:
                return number
        return len(self._members)


def sample_tasks(config: ZooConfig, dataset: Dataset, *, allow_fewer: bool = False) -> list[Task]:
    """Return the tasks of a zoo: all different, none reserved for evaluation. p-Model i is trained on task i.

    With `allow_fewer`, the tasks that exist are returned where there are fewer than `config.num_models`.
    """
    if not config.num_models:
        return []
    sampler = TaskSampler(
        dataset.class_names,
        dataset.superclasses,
        partition="train",
        schemes=config.schemes,
        class_counts=config.class_counts,
        seed=config.seed,
    )
    return sampler.tasks(config.num_models, allow_fewer=allow_fewer)
