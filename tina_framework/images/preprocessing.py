"""Standardise pixels: what the input of a network looks like.

Shapes: N pictures, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.errors import ConfigError, DataError, shorten
from tina_framework.images.collect import picture_batches, pictures
from tina_framework.images.fit import FIT, check_crop_pct, fit_settings, uncropped_size

if TYPE_CHECKING:
    from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["Preprocessing"]


@dataclass(frozen=True)
class Preprocessing:
    """What the input of a network looks like. Call it to turn pixels into that input.

    Attributes:
        input_shape: (C, H, W).
        mean: of each channel, for pixels in [0, 1].
        std: of each channel.
        fit: how pictures of another size are brought to this one; see `fit_picture`.
        crop_pct: the part of each side that is kept, above 0 and at most 1; see `fit_picture`.

    Raises:
        ConfigError: the fit is unknown, or the crop_pct is not valid.
    """

    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: str = FIT
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        if self.fit != FIT:
            raise ConfigError(f"The fit of pictures is {shorten(self.fit)}, but this program knows only '{FIT}'.")
        check_crop_pct(self.crop_pct)

    @classmethod
    def of(cls, architecture: TargetArchitecture) -> Preprocessing:
        """Return the preprocessing of an architecture."""
        return cls(architecture.input_shape, architecture.mean, architecture.std, crop_pct=architecture.crop_pct)

    def pixels(self, images: Any) -> npt.NDArray[np.uint8]:
        """Return pictures of any kind and size as (N, H, W, 3) uint8, which calling this object standardises.

        Each call crops. So call it once, with the original pictures.

        Args:
            images: what `tina_framework.images.pictures` takes.

        Raises:
            DataError: a file is unreadable, or an array has another shape or type.
        """
        return pictures(images, self.size, self.crop_pct)

    def batches(self, images: Any, batch_size: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield what `pixels` returns, in parts of at most `batch_size` pictures. Files are read when their part is asked for."""
        return picture_batches(images, self.size, self.crop_pct, batch_size=batch_size)

    def __call__(self, pixels: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
        """Return the pictures (N, H, W, 3) uint8 as (N, C, H, W) float32, standardised, on `device`.

        Raises:
            DataError: the pictures have another size than the network takes.
        """
        channels, height, width = self.input_shape
        if pixels.ndim != 4 or pixels.shape[1:3] != (height, width):
            raise DataError(f"Pictures have the shape {pixels.shape}; this network takes (N, {height}, {width}, 3).")
        # In place from here on: whole data sets pass through, and each copy of them costs hundreds of megabytes.
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
        tensor = tensor.contiguous()
        if channels == 1:
            # ITU-R BT.601 luma, which PIL's mode "L" uses too.
            tensor = (tensor * tensor.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        mean, std = (tensor.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return tensor.sub_(mean).div_(std)

    def to_json(self) -> dict[str, Any]:
        """Return what the folder of a classifier records."""
        shape, mean, std = list(self.input_shape), list(self.mean), list(self.std)
        return {"input_shape": shape, "mean": mean, "std": std, **fit_settings(self.crop_pct)}

    @property
    def size(self) -> tuple[int, int]:
        """(W, H): the order in which PIL gives sizes."""
        return self.input_shape[2], self.input_shape[1]

    @property
    def uncropped_size(self) -> tuple[int, int]:
        """(W, H) of a picture from which `pixels` cuts the input: W / crop_pct, H / crop_pct, rounded up."""
        return uncropped_size(self.size, self.crop_pct)
