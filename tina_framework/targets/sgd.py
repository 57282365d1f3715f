"""Train one network by SGD: generic models, p-Models and fine-tuned baselines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError, TrainingError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.targets.distillation import SoftTargets, image_losses
from tina_framework.targets.functional import autocast
from tina_framework.targets.image_shifts import shifted

__all__ = [
    "FitState",
    "SGDRecipe",
    "epoch_draws",
    "fit",
    "learning_rate",
    "mirror",
    "needs_teacher",
    "pick_images",
]


@dataclass(frozen=True)
class SGDRecipe:
    """SGD with momentum, a warm-up + cosine schedule, random mirroring and shifts, and averaging of the last epochs.

    Args:
        epochs: passes over the images.
        batch_size: images per step; the smaller batch at the end of an epoch is dropped, unless it is the only one.
        lr: peak learning rate.
        momentum, weight_decay, nesterov: as in `torch.optim.SGD`.
        warmup_epochs: epochs of linear warm-up; may be fractional.
        flip: mirror each image with probability 1/2.
        image_shift: shift images by up to this many pixels; see `tina_framework.targets.image_shifts`. A teacher's logits are
            those of the picture before it is shifted.
        average_last: the weights at the end of each epoch are averaged over this last share of the epochs (0: off).
        precision: ``fp32``, ``bf16`` (autocast) or ``auto`` (bf16 if the CPU or GPU has the instructions).
        teacher_weight: share of the teacher in the loss; see `tina_framework.targets.distillation`. It needs a teacher.
        teacher_temperature: temperature of the teacher's part of the loss.

    Raises:
        ConfigError: a value is out of range.
    """

    epochs: float = 60
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False
    warmup_epochs: float = 0.0
    flip: bool = True
    image_shift: int = 0
    average_last: float = 0.0
    precision: str = "auto"
    teacher_weight: float = 0.0
    teacher_temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.batch_size < 1 or self.lr <= 0:
            raise ConfigError(
                f"An SGD recipe needs epochs, batch_size and lr above 0; got {self.epochs}, {self.batch_size}, {self.lr}."
            )

        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision is '{self.precision}'; choose auto, fp32 or bf16.")
        if not (0 <= self.momentum < 1 and 0 <= self.average_last <= 1):
            raise ConfigError(
                f"momentum is {self.momentum} and average_last is {self.average_last}; "
                "momentum must be in [0, 1), and average_last in [0, 1]."
            )
        if self.image_shift < 0:
            raise ConfigError(f"image_shift is {self.image_shift}; it must be at least 0.")
        if not 0 <= self.teacher_weight <= 1 or self.teacher_temperature <= 0:
            raise ConfigError(
                f"teacher_weight is {self.teacher_weight} and teacher_temperature is {self.teacher_temperature}; "
                "teacher_weight must be in [0, 1], and teacher_temperature above 0."
            )

    def soft_targets(self, logits: Tensor | None) -> SoftTargets | None:
        """Return the targets that a teacher's logits give under this recipe."""
        if self.teacher_weight == 0 or logits is None:
            return None
        return SoftTargets(logits, self.teacher_weight, self.teacher_temperature)

    def steps(self, num_images: int) -> tuple[int, int]:
        """Return the steps per epoch and the steps in all, for that many images."""
        per_epoch = max(1, num_images // self.batch_size)
        return per_epoch, max(1, round(self.epochs * per_epoch))


def learning_rate(recipe: SGDRecipe, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (from 0): linear warm-up, then a cosine down to 0 at `total_steps`."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1.0, total_steps - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def epoch_draws(seed: int, epoch: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the order (count,) and the flips (count,) bool of one epoch. They depend on seed and epoch alone.

    They are drawn on the CPU, so that all devices get the same, and a resumed run needs no state of a random generator.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator), torch.rand(count, generator=generator) < 0.5


def mirror(batch: Tensor, flips: Tensor) -> Tensor:
    """Mirror the images (..., W) of `batch` for which `flips` is true; `flips` has the shape of the leading axes."""
    return torch.where(flips.view(*flips.shape, *(1,) * (batch.dim() - flips.dim())), batch.flip(-1), batch)


def pick_images(images: Tensor, rows: Tensor, flips: Tensor, mirrored: Tensor | None) -> Tensor:
    """Return the images at `rows`, mirrored where `flips` (of the same shape) is true.

    Args:
        images: (A, ...) all images, or the features of all images.
        rows: row numbers of the images to return.
        flips: which of them to mirror.
        mirrored: (A, ...) the features of the mirrored images, which flipping features does not give. None: `images` are
            pictures, and mirroring flips the last axis.
    """
    batch = images[rows]
    if mirrored is None:
        return mirror(batch, flips)
    return torch.where(flips.view(*flips.shape, *(1,) * (batch.dim() - flips.dim())), mirrored[rows], batch)


def needs_teacher(recipe: SGDRecipe) -> str:
    """Return what to say where a recipe needs a teacher that was not given."""
    return (
        f"The recipe has teacher_weight = {recipe.teacher_weight:g}, but no teacher was given. Make one with "
        "'tina train-teacher' and give it with --teacher, or set teacher_weight to 0."
    )


@dataclass(frozen=True)
class FitState:
    """The state of a training run after an epoch, from which it can be continued exactly."""

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
    teacher: Tensor | None = None,
) -> nn.Module:
    """Train `module` in place.

    Args:
        module: on the device of `images`.
        images: (N, C, H, W) float32 prepared images, or features of a frozen trunk.
        labels: (N,) int64.
        recipe: how to train. Its `image_shift` must have passed `tina_framework.targets.image_shifts.check_shift`.
        seed: of the order of the images, the flips and the shifts, which are the same on every device.
        on_epoch: called with (epochs done, mean loss of the last epoch, function that returns the current state).
        resume: continue from this state; the result is the same as without an interruption.
        mirrored: the features of the mirrored images; see `pick_images`.
        teacher: (2, N, K) a teacher's logits of the images and of the mirrored images, for the module's K classes. Needed if
            the recipe has a `teacher_weight`.

    Raises:
        ConfigError: the recipe needs a teacher, and there is none.
        TrainingError: the loss is not finite.
    """
    if recipe.teacher_weight and teacher is None:
        raise ConfigError(needs_teacher(recipe))
    if not recipe.teacher_weight:
        teacher = None
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
            batch = pick_images(images, rows, flips[rows], mirrored) if recipe.flip else images[rows]
            if recipe.image_shift:
                (batch,) = shifted(batch[None], recipe.image_shift, [generator_at(seed, "image-shift", epoch, index)])
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step, total_steps, steps_per_epoch)
            with autocast(device, recipe.precision):
                output = module(batch)
            soft = None if teacher is None else recipe.soft_targets(teacher[flips[rows].long() * recipe.flip, rows])
            loss = image_losses(output.float(), labels[rows], soft).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
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
