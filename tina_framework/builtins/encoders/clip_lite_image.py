"""The image tower of ``clip-lite``: a small residual network from 32x32 pixels to CLIP's text space.

Shapes: N pictures, E width of the vectors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SIZE", "ImageTower", "standardise"]

SIZE = 32

# Mean and standard deviation of each colour channel over CIFAR-100's training images.
_MEAN = (0.507, 0.487, 0.441)
_STD = (0.267, 0.256, 0.276)


def standardise(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return pixels (N, 32, 32, 3) in uint8 as standardised (N, 3, 32, 32) in float32."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div(255.0)
    mean, std = (tensor.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    return (tensor - mean) / std


class _Convolution(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Convolution(channels, channels)
        self.second = _Convolution(channels, channels)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.second(self.first(hidden))
        return hidden


class ImageTower(nn.Module):
    """A network from pictures to directions in the text space.

    It halves the side three times, to 16, 8 and 4 pixels. A residual block follows each of the last two halvings.

    Args:
        widths: channels at 16, 8 and 4 pixels.
        dim: E.
    """

    def __init__(self, widths: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        first, second, third = widths
        self.body = nn.Sequential(
            _Convolution(3, first, stride=2),
            _Convolution(first, second, stride=2),
            _Residual(second),
            _Convolution(second, third, stride=2),
            _Residual(third),
        )
        self.head = nn.Linear(third, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit vectors (N, E) for standardised pixels (N, 3, 32, 32): directions from the mean text vector."""
        features = self.body(pixels).mean(dim=(2, 3))
        return F.normalize(self.head(features).float(), dim=1)
