"""The training loop of fine-tuning.

The loss is the mean cross-entropy of the pictures plus an L2-SP penalty (Li, Grandvalet and Davoine 2018, arXiv 1802.01483):

    loss = cross-entropy + pull / (2 N) * sum over parameters of ((w - w_start) / s)^2

Here s is the root mean square of the parameter's tensor at the start. The penalty is a Gaussian prior around the starting weights,
with the standard deviation ``s / sqrt(pull)``. Its weight falls as the number N of pictures grows. So a few pictures correct a network but do not replace what it knows. A
network that already classifies them correctly hardly changes.

The optimizer is Adam with a cosine learning rate schedule down to zero. The learning rate is in units of s, so that one setting suits
networks of any scale. Every class has the same weight, however many pictures it has.

Shapes: N pictures, B pictures of a batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.errors import TrainingError
from tina_framework.interfaces.random_state import seeded_random_state

__all__ = ["fit"]

_SMALLEST_SCALE = 0.01
"""Lower bound of s: a tensor that starts at or near zero (a fresh bias) could not move at all otherwise."""


def fit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    class_tensors: Collection[str],
    settings: FineTuneSettings,
    *,
    seed: int = 0,
    pictures: bool = True,
    mirrored: Tensor | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Train `network` in place.

    Args:
        network: on the device of `images`.
        images: (N, C, H, W) float32 prepared pictures, or features of a frozen trunk.
        labels: (N,) int64 class indices; every class 0..K-1 has at least one picture.
        class_tensors: names of the parameters that grow with the number of classes; the others are shared by all classes.
        settings: how to fine-tune.
        seed: of order, flips, shifts, and the network's own random numbers (dropout).
        pictures: whether `images` are pictures; features are not shifted.
        mirrored: features of the mirrored pictures; without them, features are not flipped.
        on_progress: called with (steps done, steps).

    Raises:
        TrainingError: the loss is not finite.
    """
    rng = torch.Generator().manual_seed(seed)
    moving = [(name, p) for name, p in network.named_parameters() if name in class_tensors or settings.shared > 0]
    starts = [p.detach().clone() for _, p in moving]
    scales = [max(float(start.square().mean().sqrt()), _SMALLEST_SCALE) for start in starts]
    peaks = [
        settings.lr * scale * (1.0 if name in class_tensors else settings.shared)
        for (name, _), scale in zip(moving, scales, strict=True)
    ]
    groups: list[dict[str, Any]] = [{"params": [p], "lr": peak} for (_, p), peak in zip(moving, peaks, strict=True)]
    optimizer = torch.optim.Adam(groups)
    weights = _weights(labels)
    was_training = network.training
    network.train()
    # Dropout draws from torch's global random stream. It belongs to the caller, so it is restored afterwards.
    with seeded_random_state(seed, [images.device] if images.device.type == "cuda" else []):
        # One upload for all steps: on a GPU each copy costs more time than a step of a small network has to spare.
        for step, rows in enumerate(torch.stack(_batches(len(images), settings, rng)).to(images.device)):
            decay = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = decay * peak
            batch = _augmented(images, mirrored, rows, settings, rng, pictures)
            target = labels[rows]
            loss = F.cross_entropy(network(batch).float(), target, weight=weights)
            if not math.isfinite(float(loss.detach())):
                raise TrainingError(
                    f"The loss became {float(loss.detach())} in step {step + 1} of {settings.steps}; "
                    f"lower the learning rate (now {settings.lr})."
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # The penalty's gradient is added by hand: it is cheaper than a second graph over all parameters.
            if settings.pull > 0:
                with torch.no_grad():
                    for (_, parameter), start, scale in zip(moving, starts, scales, strict=True):
                        assert parameter.grad is not None
                        parameter.grad.add_(parameter - start, alpha=settings.pull / (len(images) * scale**2))
            optimizer.step()
            on_progress(step + 1, settings.steps)
    network.train(was_training)


def _weights(labels: Tensor) -> Tensor:
    """Return (K,) class weights: inverse to the number of pictures of a class, 1 on average."""
    inverse = 1.0 / torch.bincount(labels).float()
    return inverse / inverse.mean()


def _batches(count: int, settings: FineTuneSettings, rng: torch.Generator) -> list[Tensor]:
    """Return the row numbers (B,) of each step: shuffled passes over all pictures, one after the other, cut into batches."""
    size = min(settings.batch_size, count)
    passes = math.ceil(settings.steps * size / count)
    order = torch.cat([torch.randperm(count, generator=rng) for _ in range(passes)])
    return list(order[: settings.steps * size].split(size))


def _augmented(
    images: Tensor,
    mirrored: Tensor | None,
    rows: Tensor,
    settings: FineTuneSettings,
    rng: torch.Generator,
    pictures: bool,
) -> Tensor:
    """Return the images at `rows` (B, ...), flipped and shifted at random. Draws on the CPU, so that every device gets the same."""
    batch = images[rows]
    if settings.flip and (pictures or mirrored is not None):
        flips = (torch.rand(len(rows), generator=rng) < 0.5).to(images.device)
        other = batch.flip(-1) if mirrored is None else mirrored[rows]
        batch = torch.where(flips.view(-1, *(1,) * (batch.dim() - 1)), other, batch)
    return _shifted(batch, settings.shift, rng) if pictures and settings.shift > 0 else batch


def _shifted(batch: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Shift each picture of (B, C, H, W) by up to `share` of its height and width. The gap is filled with the edge pixels."""
    size, (height, width) = len(batch), batch.shape[-2:]
    moves = [
        torch.randint(-round(share * n), round(share * n) + 1, (size, 1), generator=rng).to(batch.device)
        for n in (height, width)
    ]
    ys, xs = (
        (torch.arange(n, device=batch.device) + move).clamp(0, n - 1)
        for n, move in zip((height, width), moves, strict=True)
    )
    picture = torch.arange(size, device=batch.device).view(-1, 1, 1)
    return batch.permute(0, 2, 3, 1)[picture, ys[:, :, None], xs[:, None, :]].permute(0, 3, 1, 2)
