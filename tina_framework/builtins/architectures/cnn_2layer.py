"""`cnn-2layer`: two convolutions and a linear head, 5,370 parameters for ten classes at width 1 (Tina, arXiv 2405.14132)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["CNN2Layer", "cnn_2layer"]


class CNN2Layer(nn.Module):
    """conv 3→16 (3x3, stride 2) → ReLU → conv 16→32 (3x3) → ReLU → global average pool → linear 32→K.

    No bias in the convolutions: 432 + 4,608 + 33 K parameters. Input (N, 3, 32, 32) in [-1, 1], output (N, K).
    `width` multiplies the 16 and 32 channels.
    """

    def __init__(self, num_classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        first, second = round(16 * width), round(32 * width)
        self.conv1 = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.fc = nn.Linear(second, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.conv1(images), inplace=True)
        hidden = F.relu(self.conv2(hidden), inplace=True)
        # The mean as a sum divided once: the gradient of `mean` divides every position by the same number, which takes a
        # tenth of the time of training. The values are the same.
        total = hidden.sum(dim=(2, 3), dtype=torch.promote_types(hidden.dtype, torch.float32))
        # Under autocast the head stays in full precision. The loss ignores a shift common to all logits, so the shift can grow
        # large, and rounding would then erase the differences between classes.
        features = (total / (hidden.shape[2] * hidden.shape[3])).to(self.fc.weight.dtype)
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.fc(features)
        return logits


cnn_2layer = TargetArchitecture(name="cnn-2layer", build=CNN2Layer, widths=(0.25, 4.0))
