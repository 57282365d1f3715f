"""Shift training pictures by a few pixels, so that networks cannot learn where things were in single pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["check_shift", "shifted"]

_PARTS = 8
"""How many shifts the images of a task, or of a batch, have."""


def check_shift(size: int, architecture: TargetArchitecture) -> None:
    """Refuse an `image_shift` of up to `size` pixels that the architecture's pictures do not allow. 0 is always allowed.

    Raises:
        ConfigError: the network reads no pictures, or they are not larger than the shift.
    """
    if not size:
        return
    name, shape = architecture.name, architecture.network_input
    if architecture.trunk is not None:
        raise ConfigError(
            f"image_shift is {size}, but '{name}' has a frozen trunk, whose features cannot be shifted. Set image_shift to 0."
        )
    if len(shape) != 3:
        raise ConfigError(f"image_shift is {size}, but '{name}' reads no pictures. Set image_shift to 0.")
    height, width = shape[1:]
    if size >= min(height, width):
        raise ConfigError(
            f"image_shift is {size}, but the pictures of '{name}' have {width} x {height} pixels. "
            f"Set it below {min(height, width)}."
        )


def shifted(images_BM: Tensor, size: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Shift the images of each task by up to `size` pixels. An eighth of them shares each shift, which is faster.

    Args:
        images_BM: (B, M, C, H, W). Borders are continued by reflection.
        size: the greatest shift.
        generators: one for each task, on the CPU.
    """
    height, width = images_BM.shape[-2:]
    padded = F.pad(images_BM.flatten(0, 1), (size,) * 4, mode="reflect").unflatten(0, images_BM.shape[:2])
    tasks = []
    for images, generator in zip(padded, generators, strict=True):
        parts = images.chunk(_PARTS)
        shifts = torch.randint(2 * size + 1, (len(parts), 2), generator=generator).tolist()
        tasks.append(
            torch.cat([p[..., y : y + height, x : x + width] for p, (y, x) in zip(parts, shifts, strict=True)])
        )
    return torch.stack(tasks)
