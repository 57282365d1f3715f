"""A depthwise-separable network (as in MobileNets, arXiv 1704.04861), without batch norm. 11,194 parameters for ten classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework import TargetArchitecture

__all__ = ["SeparableCNN", "cnn_separable"]


class _Separable(nn.Module):
    """A depthwise 3x3 convolution, a pointwise convolution, group norm and ReLU."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.mix = nn.Conv2d(inside, outside, 1, bias=False)
        # Batch norm has running statistics, which cannot be generated. Group norm computes its own from each picture.
        self.norm = nn.GroupNorm(8, outside)

    def forward(self, x: Tensor) -> Tensor:
        # On a CPU with bfloat16 instructions a training step is faster with this convolution in full precision.
        with torch.autocast(x.device.type, enabled=False):
            filtered: Tensor = self.depth(x.to(self.depth.weight.dtype))
        hidden: Tensor = self.norm(self.mix(filtered))
        return F.relu(hidden)


class SeparableCNN(nn.Module):
    """conv 3→24 (3x3, stride 2) → ReLU → separable 24→48 (stride 2) → separable 48→64 → separable 64→64 → mean → linear 64→K.

    10,544 + 65 K parameters. Input (N, 3, 32, 32) in [-1, 1], output (N, K). Without normalisation it does not train at
    the zoo's learning rate of 0.1.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 3, 2, 1, bias=False)
        self.blocks = nn.Sequential(_Separable(24, 48, 2), _Separable(48, 64, 1), _Separable(64, 64, 1))
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.blocks(F.relu(self.conv(images)))
        features = hidden.float().mean(dim=(2, 3)).to(self.fc.weight.dtype)
        # Under autocast the head stays in full precision. The loss does not limit a shift that all logits share. It can grow
        # large, and rounding in bfloat16 would then hide the differences between classes.
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.fc(features)
        return logits


cnn_separable = TargetArchitecture(name="cnn-separable", build=SeparableCNN)
