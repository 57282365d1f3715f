"""The SGD recipe with which generic models, p-Models and fine-tuned baselines are trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.errors import ConfigError, TrainingError
from tina_framework.targets.functional import autocast

__all__ = ["FitState", "SGDRecipe", "epoch_draws", "fit", "learning_rate", "mirror", "picked"]


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

        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision is '{self.precision}'; choose auto, fp32 or bf16.")
        if not (0 <= self.momentum < 1 and 0 <= self.average_last <= 1):
            raise ConfigError(
                f"momentum is {self.momentum} and average_last {self.average_last}; the first lies in [0, 1), the second in [0, 1]."
            )

    def steps(self, num_images: int) -> tuple[int, int]:
        """Steps an epoch and steps in all, for that many images."""
        per_epoch = max(1, num_images // self.batch_size)
        return per_epoch, max(1, round(self.epochs * per_epoch))


def learning_rate(recipe: SGDRecipe, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """The rate of step `step` (from 0): linear warm-up, then half a cosine down to 0 at `total_steps`."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1.0, total_steps - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def epoch_draws(seed: int, epoch: int, count: int) -> tuple[Tensor, Tensor]:
    """The order (count,) and the flips (count,) bool of one epoch; a function of seed and epoch alone.

    Drawn on the CPU, so that every device sees the same and a resumed run needs no generator state.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator), torch.rand(count, generator=generator) < 0.5


def mirror(batch: Tensor, flips: Tensor) -> Tensor:
    """Flips the images (..., W) of `batch` for which `flips` is true; `flips` covers the leading axes."""
    return torch.where(flips.view(*flips.shape, *(1,) * (batch.dim() - flips.dim())), batch.flip(-1), batch)


def picked(images: Tensor, rows: Tensor, flips: Tensor, mirrored: Tensor | None) -> Tensor:
    """The images at `rows`, mirrored where `flips` (of the same shape) is true.

    `mirrored`: the images mirrored already, where that is no flip of the last axis (features of a frozen trunk).
    """
    batch = images[rows]
    if mirrored is None:
        return mirror(batch, flips)
    return torch.where(flips.view(*flips.shape, *(1,) * (batch.dim() - flips.dim())), mirrored[rows], batch)


@dataclass(frozen=True)
class FitState:
    """Where a fit stands after some whole epochs: all that continuing it exactly takes."""

    epoch: int
    parameters: dict[str, Tensor]
    momenta: dict[str, Tensor]
    sums: dict[str, Tensor]
    averaged: int


def fit(
    module: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: SGDRecipe,
    seed: int,
    on_epoch: Callable[[int, float, Callable[[], FitState]], None] | None = None,
    resume: FitState | None = None,
    mirrored: Tensor | None = None,
) -> nn.Module:
    """Trains `module` in place.

    Args:
        module: on the device of `images`.
        images: (N, C, H, W) float32, already preprocessed; or features of a frozen trunk.
        labels: (N,) int64.
        recipe: how.
        seed: fixes the order of the images and the flips; the same on every device.
        on_epoch: called with (epochs done, mean loss of the last epoch, function that returns the present state).
        resume: continue from here; the result is what an uninterrupted fit would have given.
        mirrored: the images mirrored, where that is no flip of the last axis; see `picked`.

    Raises:
        TrainingError: the loss is not finite.
    """
    device = images.device
    names = [name for name, _ in module.named_parameters()]
    parameters = list(module.parameters())
    optimizer = torch.optim.SGD(
        parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
    )
    steps_per_epoch, total_steps = recipe.steps(len(images))
    average_from = total_steps - round(recipe.average_last * total_steps)
    sums: dict[str, Tensor] = {}
    averaged = epoch = 0
    if resume is not None:
        epoch, averaged, sums = resume.epoch, resume.averaged, dict(resume.sums)
        with torch.no_grad():
            for name, parameter in zip(names, parameters, strict=True):
                parameter.copy_(resume.parameters[name])
                if resume.momenta:
                    optimizer.state[parameter]["momentum_buffer"] = resume.momenta[name].to(device).clone()

    def state() -> FitState:
        momenta = {
            name: optimizer.state[p]["momentum_buffer"].clone()
            for name, p in zip(names, parameters, strict=True)
            if optimizer.state[p].get("momentum_buffer") is not None
        }
        weights = {name: p.detach().clone() for name, p in zip(names, parameters, strict=True)}
        return FitState(epoch, weights, momenta, dict(sums), averaged)

    module.train()
    step = epoch * steps_per_epoch
    while step < total_steps:
        order, flips = (draw.to(device) for draw in epoch_draws(seed, epoch, len(images)))
        loss_sum = torch.zeros((), device=device)
        steps = min(steps_per_epoch, total_steps - step)
        for index in range(steps):
            rows = order[index * recipe.batch_size : (index + 1) * recipe.batch_size]
            batch = picked(images, rows, flips[rows], mirrored) if recipe.flip else images[rows]
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
        epoch += 1
        mean_loss = float(loss_sum) / steps
        if not math.isfinite(mean_loss):
            raise TrainingError(
                f"The loss became {mean_loss} in epoch {epoch}; lower the learning rate (now {recipe.lr})."
            )
        if recipe.average_last > 0 and step > average_from:
            for name, parameter in zip(names, parameters, strict=True):
                sums[name] = sums[name] + parameter.detach() if name in sums else parameter.detach().clone()
            averaged += 1
        if on_epoch is not None:
            on_epoch(epoch, mean_loss, state)
    if averaged:
        with torch.no_grad():
            for name, parameter in zip(names, parameters, strict=True):
                parameter.copy_(sums[name] / averaged)
    return module
