"""Setting the abstention thresholds of a generator, from validation tasks and validation images."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.errors import ConfigError, DataError
from tina_framework.evaluation.calibration.responses import figures, respond, threshold_for
from tina_framework.evaluation.harness import Progress, no_progress
from tina_framework.evaluation.paths import without_folders
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.reservation import reserves
from tina_framework.zoo.small_data import FEW_CLASSES
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.task_sampler import TaskSampler

if TYPE_CHECKING:
    from tina_framework.generator.config import GeneratorConfig
    from tina_framework.generator.generator import Generator
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.zoo.tasks import Task

__all__ = ["calibrate", "calibration_images", "calibration_tasks", "class_counts", "is_new_data"]

_COUNTS = (2, 3, 5, 10, 20, 50, 100)


def class_counts(config: GeneratorConfig, num_classes: int | None = None) -> list[int]:
    """Return the class counts to calibrate at: the least, the greatest and some between.

    The others are interpolated. Of fewer than `FEW_CLASSES` classes, all counts are returned.

    Args:
        config: of the generator.
        num_classes: number of classes that tasks are drawn from; None: many.
    """
    least, most = config.min_classes, config.max_classes
    if num_classes is not None and num_classes < FEW_CLASSES:
        return list(range(least, min(most, num_classes) + 1))
    return sorted({least, most} | {count for count in _COUNTS if least < count < most})


def is_new_data(config: GeneratorConfig, dataset: Dataset) -> bool:
    """Return whether a generator that reads any words gets classes that it was not trained on: then all of them are used."""
    return config.open_vocabulary and not set(dataset.class_names) <= set(config.class_names)


def calibration_images(config: GeneratorConfig, dataset: Dataset) -> str:
    """Return the split whose images are used: ``validation``, or all but the test images where none was trained on."""
    return "train+validation" if is_new_data(config, dataset) else "validation"


def _classes(config: GeneratorConfig, dataset: Dataset) -> list[str]:
    """Return the classes to calibrate on, in the order of the data set."""
    known = set(dataset.class_names if is_new_data(config, dataset) else config.class_names)
    return [name for name in dataset.class_names if name in known]


def calibration_tasks(
    config: GeneratorConfig, dataset: Dataset, counts: Sequence[int], num_tasks: int, seed: int = 0
) -> tuple[list[str], dict[int, list[Task]]]:
    """Return the data set's classes that the generator was trained on, and validation tasks of them by class count.

    Of a data set that is new to a generator that reads any words, all classes are used. A count is left out if there is no such task, or if a task would leave no class outside.

    Raises:
        DataError: no count is left.
    """
    seen = _classes(config, dataset)
    others = [name for name in dataset.class_names if name not in set(seen)]
    found: dict[int, list[Task]] = {}
    for count in counts:
        if count >= len(seen):
            continue
        with contextlib.suppress(DataError):  # by chance, a few dozen sets may hold no validation task
            if reserves(len(seen), count):
                found[count] = sample_split_tasks(
                    dataset, "validation", count, num_tasks, seed, held_out=others, allow_fewer=True
                )
            else:  # Training may have drawn the class sets, but the pictures are new.
                sampler = TaskSampler(seen, class_counts={count: 1.0}, seed=seed, split="seen")
                found[count] = sampler.tasks(num_tasks, allow_fewer=True)
    if not found:
        if is_new_data(config, dataset):
            raise DataError(
                f"Data set '{dataset.name}' has {len(seen)} classes, too few for validation tasks with other classes outside "
                "them; give one with at least ten."
            )
        raise DataError(
            f"Data set '{dataset.name}' has {len(seen)} of the generator's {len(config.class_names)} classes, "
            "too few for validation tasks with other classes outside them; give the data set that it was trained on."
        )
    return seen, found


def calibrate(
    generator: Generator,
    dataset: Dataset,
    *,
    kept: float = 0.9,
    num_tasks: int = 100,
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[AbstentionThresholds, list[dict[str, Any]]]:
    """Set thresholds that keep the share `kept` of correct answers, and measure them on the images they were set with.

    Args:
        generator: has the encoder that will be used later. Another sampler or encoder changes scores a little.
        dataset: the images of `calibration_images` are used.
        kept: see `tina_framework.evaluation.calibration.responses`.
        num_tasks: the greatest number of tasks of each class count.
        seed: seed of tasks, generation and the draw of outside images.
        progress: shows the progress.

    Returns:
        The thresholds, and for each class count `num_classes`, `num_tasks` and what `figures` gives.

    Raises:
        ConfigError: `kept` or `num_tasks` is out of range.
        DataError: the data set has no suitable task.
    """
    name = without_folders(generator.encoder.name)
    AbstentionThresholds(kept, {2: 0.0}, name)  # raises for wrong values now, not after the measurement
    if num_tasks < 1:
        raise ConfigError(f"The number of tasks is {num_tasks}; it must be at least 1.")
    config = generator.config
    counts = class_counts(config, len(_classes(config, dataset)))
    seen, by_count = calibration_tasks(config, dataset, counts, num_tasks, seed)
    bank = ImageBank(dataset, calibration_images(generator.config, dataset), generator.spec, generator.device)
    rows = []
    with progress("Calibrating", sum(map(len, by_count.values()))) as advance:
        for count, tasks in by_count.items():
            responses = respond(generator, bank, tasks, seen, seed=seed, on_progress=advance)
            networks = [response.scored() for response in responses]
            # Rounded as it will be recorded, so that the figures are those of the recorded threshold.
            found = figures(networks, round(threshold_for(networks, kept), 4))
            rows.append({"num_classes": count, "num_tasks": len(tasks), **found})
    thresholds = {row["num_classes"]: row["threshold"] for row in rows}
    if len(seen) <= config.max_classes and len(seen) - 1 in thresholds:
        # A task of all classes leaves no class outside, so nothing can be measured with it.
        thresholds[len(seen)] = thresholds[len(seen) - 1]
    return AbstentionThresholds(kept, thresholds, name), rows
