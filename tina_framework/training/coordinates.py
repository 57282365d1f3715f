"""Whitened coordinates of a training run: the setting `whitening`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.training.data import TrainingImages
from tina_framework.training.kronecker import fit_whitening
from tina_framework.training.run_inputs import RunInputs, load_images
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["damping_of", "whitening_factors"]

_MOST_STARTS = 100
"""How many runs that started from each other are looked at."""

_WHITENING_TASKS = 40
"""Enough: the factors average over all pixels of all images of these tasks."""


def damping_of(inputs: RunInputs) -> float | None:
    """Return the damping of the whitening that this run computes for an architecture; None if it computes none.

    A run that starts from a generator keeps its coordinates. If the generator does not know the architecture, coordinates of the
    same kind are computed.
    """
    start, config = inputs.start, inputs.config
    if start is None:
        return config.whitening
    if not start.config.architectures or inputs.spec.architecture.name in start.config.architectures:
        return None
    return _recorded_damping(start.config.training) if start.normalizer.whitening is not None else None


def _recorded_damping(training: object) -> float | None:
    """Return the damping that the record of a training names, or the record of the run that it started from."""
    for _ in range(_MOST_STARTS):
        if not isinstance(training, Mapping):
            break
        recipe = training.get("recipe")
        damping = recipe.get("whitening") if isinstance(recipe, Mapping) else None
        if isinstance(damping, int | float) and not isinstance(damping, bool) and 0 < damping < math.inf:
            return float(damping)
        training = training.get("start")
    return None


def whitening_factors(
    inputs: RunInputs, device: torch.device, images: TrainingImages | None = None
) -> dict[str, Tensor]:
    """Return the factors of the setting `whitening`. Empty if the run needs none.

    Floating-point numbers differ between devices, so one process should compute the factors for all.

    Args:
        inputs: what the settings name.
        device: where to compute.
        images: what `load_images` returned, if they are loaded already.

    Raises:
        ConfigError: no layer can be whitened.
        DataError, CheckpointError, PluginError, LeakageError: the images cannot be loaded; see `load_images`.
    """
    if damping_of(inputs) is None:
        return {}
    return _fitted(inputs, load_images(inputs, device) if images is None else images)


def _fitted(inputs: RunInputs, images: TrainingImages) -> dict[str, Tensor]:
    """Return the factors of the whitening on random training tasks.

    Raises:
        ConfigError: no layer can be whitened.
    """
    config, seen = inputs.config, inputs.seen_classes
    sampler = TaskSampler(seen, None, partition="train", class_counts=config.class_counts, seed=config.seed)

    def draw(number: int) -> tuple[Tensor, Tensor, Tensor]:
        classes = sampler.task(number).classes
        rows, flips, slots = images.draw(
            classes, config.images_per_task, generator_at(config.seed, "whitening", number)
        )
        own = torch.tensor([seen.index(name) for name in classes])
        return own, images.take(rows, flips), slots.to(images.labels.device)

    damping = damping_of(inputs)
    assert damping is not None
    found = fit_whitening(inputs.spec, inputs.generic, draw, _WHITENING_TASKS, damping)
    if found is None:
        raise ConfigError(f"No layer of '{inputs.spec.architecture.name}' can be whitened. Set whitening to none.")
    return {name: factor.cpu() for name, factor in found.factors.items()}
