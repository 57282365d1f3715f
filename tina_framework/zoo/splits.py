"""The splits of evaluation: which class sets each of them reserves, and how its tasks are drawn.

All splits use a partition of class sets that training never draws (`tina_framework.zoo.reservation.partition_of`).
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError, DataError
from tina_framework.zoo.random_draws import shuffled
from tina_framework.zoo.reservation import NUM_UNSEEN, partition_of, reserves
from tina_framework.zoo.small_data import FEW_CLASSES
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["RESERVED_SPLITS", "sample_default_tasks", "sample_split_tasks"]

RESERVED_SPLITS = {
    "unseen-combination": ("random", "test"),
    "two-superclasses": ("two-superclasses", "test"),
    "ten-superclasses": ("ten-superclasses", "test"),
    "unseen-classes": ("random", "test"),
    "two-unseen-classes": ("random", "test"),
    "validation": ("random", "validation"),
}
"""Split name -> (scheme, partition) of the tasks that training never sees."""

_FROM_HELD_OUT = ("unseen-classes", "two-unseen-classes")
_DRAWS = 40_000


def sample_split_tasks(
    dataset: Dataset,
    split: str,
    count: int,
    num_tasks: int,
    seed: int = 0,
    *,
    held_out: Collection[str] | None = None,
    allow_fewer: bool = False,
) -> list[Task]:
    """Draw tasks of one of `RESERVED_SPLITS`, all with different class sets that training never draws.

    Args:
        dataset: gives class names and superclasses.
        split: a key of `RESERVED_SPLITS`.
        count: number of classes of a task.
        num_tasks: how many tasks.
        seed: any integer.
        held_out: the classes that training leaves out. ``unseen-classes`` draws from these only.
            ``two-unseen-classes`` draws two of these and the others from the rest. All other splits draw from the
            rest only.
        allow_fewer: return the tasks that exist where the split has fewer.

    Raises:
        ConfigError: an unknown split, a class count out of range, or no `held_out` where the split draws from it.
        DataError: the data set lacks a held-out class, or there are too few tasks.
    """
    if split not in RESERVED_SPLITS:
        raise ConfigError(f"Unknown split '{split}'; tasks can be drawn for {', '.join(RESERVED_SPLITS)}.")
    held = frozenset(held_out or ())
    if unknown := sorted(held - set(dataset.class_names)):
        raise DataError(f"The held-out class '{unknown[0]}' is not in data set '{dataset.name}'; correct or drop it.")
    if split in _FROM_HELD_OUT and not held:
        raise ConfigError(f"Tasks of the split '{split}' need held-out classes; name those that training leaves out.")
    if split == "two-unseen-classes":
        ours = [name for name in dataset.class_names if name in held]
        rest = [name for name in dataset.class_names if name not in held]
        return _mixed(rest, ours, count, num_tasks, seed, allow_fewer)
    kept = [i for i, name in enumerate(dataset.class_names) if (name in held) == (split == "unseen-classes")]
    scheme, partition = RESERVED_SPLITS[split]
    if split == "unseen-classes" and 2 <= count <= len(kept) and not reserves(len(kept), count):
        partition = "train"  # Training draws no set of these classes, so none has to be reserved.
    sampler = TaskSampler(
        [dataset.class_names[i] for i in kept],
        None if dataset.superclasses is None else [dataset.superclasses[i] for i in kept],
        partition=partition,
        schemes={scheme: 1.0},
        class_counts={count: 1.0},
        seed=seed,
        split=split,
    )
    return sampler.tasks(num_tasks, allow_fewer=allow_fewer)


def sample_default_tasks(
    dataset: Dataset,
    split: str,
    num_tasks: int | None = None,
    seed: int = 0,
    *,
    held_out: Collection[str] | None = None,
) -> list[Task]:
    """Draw tasks of one of `RESERVED_SPLITS` where the user gave no class count.

    From `FEW_CLASSES` classes on, tasks have ten classes. With fewer, they have the largest count up to ten of which training
    leaves sets out.

    Args:
        dataset: gives class names and superclasses.
        split: a key of `RESERVED_SPLITS`.
        num_tasks: how many tasks; None: 100, or as many as a data set of few classes has.
        seed: any integer.
        held_out: see `sample_split_tasks`.

    Raises:
        ConfigError, DataError: as in `sample_split_tasks`, or no class count has reserved sets.
    """
    held = frozenset(held_out or ())
    own = [name for name in dataset.class_names if (name in held) == (split == "unseen-classes")]
    pool = len(dataset.class_names) if split == "two-unseen-classes" else len(own)
    draw = functools.partial(
        sample_split_tasks, dataset, split, num_tasks=100 if num_tasks is None else num_tasks, seed=seed, held_out=held
    )
    if pool >= FEW_CLASSES:
        return draw(count=10)
    for count in range(min(10, pool), 1, -1):
        # Some counts have no reserved set, and fewer than three classes hold no two unseen ones and another one.
        with contextlib.suppress(DataError, ConfigError):
            return draw(count=count, allow_fewer=num_tasks is None)
    if pool < 2 or (split in _FROM_HELD_OUT and not held):
        return draw(count=2)  # raises the error that says why
    number = "so many" if num_tasks is not None else "any"
    raise DataError(
        f"{pool} classes have too few sets to reserve {number} for the split '{split}'. Measure the tasks of a zoo on new pictures: "
        "--split seen --zoo FOLDER."
    )


def _mixed(
    rest: Sequence[str], held: Sequence[str], count: int, num_tasks: int, seed: int, allow_fewer: bool
) -> list[Task]:
    """Draw tasks of the split ``two-unseen-classes``, no class set twice."""
    split = "two-unseen-classes"
    if len(held) < NUM_UNSEEN or not NUM_UNSEEN < count <= NUM_UNSEEN + len(rest):
        raise ConfigError(
            f"A task of {count} classes cannot take {NUM_UNSEEN} of {len(held)} held-out classes "
            f"and the others from {len(rest)} classes; "
            f"choose a class count from {NUM_UNSEEN + 1} to {NUM_UNSEEN + len(rest)}, or hold out more."
        )
    found = {task.class_set: task for task in _draw_mixed(rest, held, count, num_tasks, seed)}
    if len(found) < num_tasks and not allow_fewer:
        raise DataError(
            f"Only {len(found)} of {num_tasks} different tasks of the split '{split}' were found; "
            f"ask for at most {len(found)}."
        )
    return list(found.values())


def _draw_mixed(rest: Sequence[str], held: Sequence[str], count: int, num_tasks: int, seed: int) -> Iterator[Task]:
    _, partition = RESERVED_SPLITS["two-unseen-classes"]
    seen: set[frozenset[str]] = set()
    for index in range(_DRAWS + 100 * num_tasks):
        if len(seen) == num_tasks:
            return
        rng = random.Random(f"{seed}/two-unseen/{index}")
        names = shuffled(rng, held, NUM_UNSEEN) + shuffled(rng, rest, count - NUM_UNSEEN)
        names = shuffled(rng, names, count)
        if partition_of(names) == partition and frozenset(names) not in seen:
            seen.add(frozenset(names))
            yield Task(tuple(names), "two-unseen-classes")
