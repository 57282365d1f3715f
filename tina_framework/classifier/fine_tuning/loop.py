"""The training loop of fine-tuning.

Minimised is the mean cross-entropy of the pictures plus ``pull / (2 N)`` times the summed squares of how far each value has gone from
where it started, in units of its tensor's root mean square at the start. This is L2-SP (Li, Grandvalet and Davoine 2018, arXiv
1802.01483) read as a prior: before seeing N pictures, a value is expected to move by ``1 / sqrt(pull)`` of its size. So a few
pictures may correct a network, not replace what it knows, and one that names them rightly already hardly changes.

The optimiser is Adam, its learning rate in the same units, falling to zero along half a cosine: one setting suits networks of any
scale. Every class weighs the same, however many pictures it has.

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

__all__ = ["fit"]

_SMALLEST_SCALE = 0.01
"""Tensors that start at or near zero (a fresh bias) may move as if their values were of this size."""


def fit(
    network: nn.Module,
    images: Tensor,
    slots: Tensor,
    class_tensors: Collection[str],
    settings: FineTuneSettings,
    *,
    seed: int = 0,
    pictures: bool = True,
    mirrored: Tensor | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Trains `network` in place.

    Args:
        network: on the device of `images`.
        images: (N, C, H, W) float32, prepared as the network takes them; or features of a frozen trunk.
        slots: (N,) int64, the output each picture belongs to; every output 0..K-1 has at least one.
        class_tensors: names of the parameters that grow with the number of classes; the others are shared.
        settings: how.
        seed: of order, flips, shifts, and whatever the network itself draws (dropout).
        pictures: whether `images` are pictures; features are not shifted.
        mirrored: features of the pictures mirrored; features are not flipped without.
        on_progress: called with (steps done, steps).

    Raises:
        TrainingError: the loss is not finite.
    """
    draws = torch.Generator().manual_seed(seed)
    moving = [(name, p) for name, p in network.named_parameters() if name in class_tensors or settings.shared > 0]
    starts = [p.detach().clone() for _, p in moving]
    scales = [max(float(start.square().mean().sqrt()), _SMALLEST_SCALE) for start in starts]
    peaks = [
        settings.lr * scale * (1.0 if name in class_tensors else settings.shared)
        for (name, _), scale in zip(moving, scales, strict=True)
    ]
    groups: list[dict[str, Any]] = [{"params": [p], "lr": peak} for (_, p), peak in zip(moving, peaks, strict=True)]
    optimizer = torch.optim.Adam(groups)
    weights = _weights(slots)
    was_training = network.training
    network.train()
    # A network that draws for itself draws from torch's global stream, which is the caller's.
    with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for step, rows in enumerate(_batches(len(images), settings, draws)):
            fade = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = fade * peak
            batch = _augmented(images, mirrored, rows, settings, draws, pictures)
            target = slots[rows.to(slots.device)]
            loss = F.cross_entropy(network(batch).float(), target, weight=weights)
            if not math.isfinite(float(loss.detach())):
                raise TrainingError(
                    f"The loss became {float(loss.detach())} in step {step + 1} of {settings.steps}; "
                    f"lower the learning rate (now {settings.lr})."
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.pull > 0:
                with torch.no_grad():
                    for (_, parameter), start, scale in zip(moving, starts, scales, strict=True):
                        assert parameter.grad is not None
                        parameter.grad.add_(parameter - start, alpha=settings.pull / (len(images) * scale**2))
            optimizer.step()
            on_progress(step + 1, settings.steps)
    network.train(was_training)


def _weights(slots: Tensor) -> Tensor:
    """(K,) one over the number of pictures of each class, 1 on average."""
    inverse = 1.0 / torch.bincount(slots).float()
    return inverse / inverse.mean()


def _batches(count: int, settings: FineTuneSettings, draws: torch.Generator) -> list[Tensor]:
    """Row numbers (B,) of each step: passes over all pictures, each in an order of its own, cut into batches."""
    size = min(settings.batch_size, count)
    passes = math.ceil(settings.steps * size / count)
    order = torch.cat([torch.randperm(count, generator=draws) for _ in range(passes)])
    return list(order[: settings.steps * size].split(size))


def _augmented(
    images: Tensor,
    mirrored: Tensor | None,
    rows: Tensor,
    settings: FineTuneSettings,
    draws: torch.Generator,
    pictures: bool,
) -> Tensor:
    """The images at `rows` (B, ...), flipped and shifted at random; draws happen on the CPU, for every device alike."""
    at = rows.to(images.device)
    batch = images[at]
    if settings.flip and (pictures or mirrored is not None):
        flips = (torch.rand(len(rows), generator=draws) < 0.5).to(images.device)
        other = batch.flip(-1) if mirrored is None else mirrored[at]
        batch = torch.where(flips.view(-1, *(1,) * (batch.dim() - 1)), other, batch)
    return _shifted(batch, settings.shift, draws) if pictures and settings.shift > 0 else batch


def _shifted(batch: Tensor, share: float, draws: torch.Generator) -> Tensor:
    """(B, C, H, W), each picture moved by up to `share` of its height and width; its edge is repeated where it left."""
    size, (height, width) = len(batch), batch.shape[-2:]
    moves = [
        torch.randint(-round(share * n), round(share * n) + 1, (size, 1), generator=draws).to(batch.device)
        for n in (height, width)
    ]
    ys, xs = (
        (torch.arange(n, device=batch.device) + move).clamp(0, n - 1)
        for n, move in zip((height, width), moves, strict=True)
    )
    picture = torch.arange(size, device=batch.device).view(-1, 1, 1)
    return batch.permute(0, 2, 3, 1)[picture, ys[:, :, None], xs[:, None, :]].permute(0, 3, 1, 2)
