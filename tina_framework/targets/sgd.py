"""The SGD recipe with which generic models, p-Models and fine-tuned baselines are trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.errors import ConfigError, TrainingError

__all__ = ["SGDRecipe", "fit", "learning_rate"]


@dataclass(frozen=True)
class SGDRecipe:
    """SGD with momentum and a warm-up + cosine learning rate, horizontal flips, optional averaging of the last epochs.

    Args:
        epochs: passes over the images.
        batch_size: images a step; the last, smaller batch of an epoch is dropped unless it is the only one.
        lr: peak learning rate.
        momentum, weight_decay, nesterov: as in `torch.optim.SGD`.
        warmup_epochs: linear warm-up; may be fractional.
        flip: mirror each image with probability 1/2.
        average_last: share of the epochs, at the end, whose end-of-epoch weights are averaged (0: off).
        precision: ``fp32``, ``bf16`` (autocast) or ``auto`` (bf16 where the CPU or GPU has the instructions).
    """

    epochs: float = 60
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False
    warmup_epochs: float = 0.0
    flip: bool = True
    average_last: float = 0.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.batch_size < 1 or self.lr <= 0:
            raise ConfigError(
                f"An SGD recipe needs epochs, batch_size and lr above 0; got {self.epochs}, {self.batch_size}, {self.lr}."
            )


def learning_rate(recipe: SGDRecipe, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """The rate of step `step` (from 0): linear warm-up, then half a cosine down to 0 at `total_steps`."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1.0, total_steps - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def fit(
    module: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: SGDRecipe,
    seed: int,
    on_epoch: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Trains `module` in place.

    Args:
        module: on the device of `images`.
        images: (N, C, H, W) float32, already preprocessed.
        labels: (N,) int64.
        recipe: how.
        seed: fixes the order of the images and the flips; the same on every device.
        on_epoch: called with (epochs done, mean loss of the last epoch).

    Raises:
        TrainingError: the loss is not finite.
    """
    from tina_framework.targets.functional import autocast

    device = images.device
    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    steps_per_epoch = max(1, len(images) // recipe.batch_size)
    total_steps = max(1, round(recipe.epochs * steps_per_epoch))
    average_from = total_steps - round(recipe.average_last * total_steps)
    average: list[Tensor] | None = None
    averaged = 0
    module.train()
    step = 0
    while step < total_steps:
        order = torch.randperm(len(images), generator=draws).to(device)
        flips = (torch.rand(len(images), generator=draws) < 0.5).to(device)
        loss_sum = torch.zeros((), device=device)
        steps = min(steps_per_epoch, total_steps - step)
        for index in range(steps):
            rows = order[index * recipe.batch_size : (index + 1) * recipe.batch_size]
            batch = images[rows]
            if recipe.flip:
                batch = torch.where(flips[rows].view(-1, 1, 1, 1), batch.flip(3), batch)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step, total_steps, steps_per_epoch)
            with autocast(device, recipe.precision):
                output = module(batch)
            loss = F.cross_entropy(output.float(), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.detach()
            step += 1
        mean_loss = float(loss_sum) / steps
        if not math.isfinite(mean_loss):
            raise TrainingError(
                f"The loss became {mean_loss} at step {step}; lower the learning rate (now {recipe.lr})."
            )
        if recipe.average_last > 0 and step > average_from:
            weights = [p.detach().clone() for p in module.parameters()]
            average = weights if average is None else [a + w for a, w in zip(average, weights, strict=True)]
            averaged += 1
        if on_epoch is not None:
            on_epoch(math.ceil(step / steps_per_epoch), mean_loss)
    if average is not None:
        with torch.no_grad():
            for parameter, total in zip(module.parameters(), average, strict=True):
                parameter.copy_(total / averaged)
    return module
