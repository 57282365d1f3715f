"""Draw evaluation tasks from a data set, where no task file is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError, DataError
from tina_framework.zoo.reservation import reserves
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task

if TYPE_CHECKING:
    from tina_framework.generator.config import GeneratorConfig
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["draw_tasks", "drawn_note"]


def draw_tasks(
    config: GeneratorConfig, dataset: Dataset, num_tasks: int = 100, seed: int = 0, count: int | None = None
) -> list[Task]:
    """Draw tasks that fit a generator and a data set.

    - ``unseen-combination``: class sets that training never draws, of classes that the generator was trained on. If all sets of
      `count` classes were open to training, these tasks have the largest class count of which sets are reserved.
    - ``seen``: in that case also tasks of `count` classes. Only their pictures are new.
    - ``unseen-classes``: classes of the data set that the generator was not trained on.

    Args:
        config: of the generator.
        dataset: gives the class names.
        num_tasks: the most tasks of each kind.
        seed: any integer.
        count: number of classes of a task. None: as many as the generator allows and the data set has.

    Raises:
        ConfigError: the generator allows no such number of classes.
        DataError: the data set has no task for the generator.
    """
    if count is not None and not config.min_classes <= count <= config.max_classes:
        raise ConfigError(
            f"The generator makes networks for {config.min_classes} to {config.max_classes} classes; "
            f"{count} is not possible."
        )
    known = frozenset(config.class_names)
    trained = [name for name in dataset.class_names if name in known]
    others = [name for name in dataset.class_names if name not in known]
    tasks: list[Task] = []
    if len(trained) >= max(2, config.min_classes):
        tasks += _of_trained(trained, len(known), config, num_tasks, seed, count)
    unseen = min(count or config.max_classes, len(others))
    if unseen >= max(2, config.min_classes):
        tasks += sample_split_tasks(
            dataset, "unseen-classes", unseen, num_tasks, seed, held_out=others, allow_fewer=True
        )
    if not tasks:
        raise DataError(
            f"No task for this generator can be drawn from the {len(dataset.class_names)} classes of '{dataset.name}': "
            f"it makes networks for {config.min_classes} classes or more."
        )
    return tasks


def _of_trained(
    trained: Sequence[str], num_known: int, config: GeneratorConfig, num_tasks: int, seed: int, count: int | None
) -> list[Task]:
    largest = min(count or config.max_classes, len(trained))
    seen: list[Task] = []
    for number in range(largest, max(2, config.min_classes) - 1, -1):
        found = _draw(trained, num_known, number, num_tasks, seed, "test", "unseen-combination")
        if found:
            return [*seen, *found]
        if number == largest:
            seen = _draw(trained, num_known, number, num_tasks, seed, "train", "seen")
        if count is not None:
            break  # no other number of classes was asked for
    return seen


def _draw(
    names: Sequence[str], num_known: int, count: int, num_tasks: int, seed: int, partition: str, split: str
) -> list[Task]:
    """Return tasks of a partition, or none if it has no such class set."""
    if partition != "train" and not reserves(num_known, count):
        return []
    try:
        sampler = TaskSampler(
            names, partition=partition, class_counts={count: 1.0}, seed=seed, split=split, num_trained=num_known
        )
    except DataError:
        return []
    return sampler.tasks(num_tasks, allow_fewer=True)


def drawn_note(tasks: Sequence[Task], dataset: str, seed: int) -> str:
    """Return a sentence about tasks that were drawn: how many of each kind, from what and with which seed."""
    counts = Counter((task.split, len(task.classes)) for task in tasks)
    kinds = ", ".join(
        f"{number} task{'s' if number > 1 else ''} of {count} classes ({split})"
        for (split, count), number in counts.items()
    )
    return f"Tasks drawn from '{dataset}' with seed {seed}: {kinds}. For other tasks, give --num-tasks, --classes or --tasks."
