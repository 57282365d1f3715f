"""A multilayer perceptron on a reduced picture, without convolutions. 19,498 parameters for ten classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework import TargetArchitecture

__all__ = ["MLP", "edge_mlp"]

_GRID = 8
_HIDDEN = 96


class MLP(nn.Module):
    """mean over 4x4 pixels (3x8x8) → linear 192→96 → ReLU → linear 96→K.

    18,528 + 97 K parameters. Input (N, 3, 32, 32) in [-1, 1], output (N, K).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 * _GRID * _GRID, _HIDDEN)
        self.fc = nn.Linear(_HIDDEN, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        pixels = F.avg_pool2d(images, images.shape[-1] // _GRID).flatten(1)
        features = F.relu(self.hidden(pixels)).to(self.fc.weight.dtype)
        # Under autocast the head stays in full precision, for the reason that separable.py states.
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.fc(features)
        return logits


edge_mlp = TargetArchitecture(name="edge-mlp", build=MLP)
