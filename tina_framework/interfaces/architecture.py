"""Target architectures: the small networks whose parameters are generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

__all__ = ["TargetArchitecture"]


@dataclass(frozen=True)
class TargetArchitecture:
    """A family of networks, one for every number of classes.

    Everything else (parameter names and shapes, which axis of which tensor grows with the number of classes) is
    derived from `build` on the meta device; see `tina_framework.spec`.

    Args:
        name: the registry name, e.g. ``cnn-2layer``; this is what checkpoints store.
        build: number of classes K -> a fresh module mapping images (N, C, H, W) float32 to logits (N, K).
        input_shape: (C, H, W) of one image.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after the mean is subtracted.
    """

    name: str
    build: Callable[[int], nn.Module]
    input_shape: tuple[int, int, int] = (3, 32, 32)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
