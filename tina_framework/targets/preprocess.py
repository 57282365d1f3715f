"""From uint8 pictures to what a target network takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["Preprocessor"]


class Preprocessor:
    """Scales pixels to [0, 1], subtracts the architecture's mean, divides by its standard deviation.

    Call it with (N, H, W, 3) uint8; it returns (N, C, H, W) float32 on `device`.
    """

    def __init__(self, architecture: TargetArchitecture, device: torch.device | str = "cpu") -> None:
        self.input_shape = architecture.input_shape
        self.device = torch.device(device)
        self.mean = torch.tensor(architecture.mean, device=self.device).view(1, -1, 1, 1)
        self.std = torch.tensor(architecture.std, device=self.device).view(1, -1, 1, 1)

    def __call__(self, images: npt.NDArray[np.uint8]) -> Tensor:
        channels, height, width = self.input_shape
        if images.ndim != 4 or images.shape[1:3] != (height, width):
            raise DataError(f"Images have shape {images.shape}; this network takes (N, {height}, {width}, 3).")
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        pixels = tensor.permute(0, 3, 1, 2).float().div_(255.0).contiguous()
        if channels == 1:
            # ITU-R BT.601 luma, what PIL's mode "L" uses.
            pixels = (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        return pixels.sub_(self.mean).div_(self.std)
