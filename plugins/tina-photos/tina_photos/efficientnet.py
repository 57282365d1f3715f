"""EfficientNet-Lite0 up to its 1,280 pooled features, without batch norm, and the folding of batch norm into its convolutions.

EfficientNet (Tan and Le, arXiv 1905.11946, table 1) is a stack of the inverted residual blocks of MobileNetV2 (Sandler et al.,
arXiv 1801.04381, table 1). The Lite variants are made for phones: they have ReLU6 in place of swish, and no squeeze-and-excitation.

Shapes: N pictures, S their height and width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FEATURES", "EfficientNetLite0", "fold"]

FEATURES = 1280
"""Number of features: the width of the last convolution, which is averaged over the picture."""

_STEM = 32
# Table 1 of the paper. Each stage: number of blocks, kernel size, stride of its first block, expansion, width.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

# Pictures at a time on a CPU. What eight leave between layers still fits its caches, which halves the time; and 250 pictures of
# 160 px at once would need 2 GB.
_GROUP = 8

# The network was trained in TensorFlow with this value, not with PyTorch's 1e-5.
_EPS = 1e-3


class _Conv(nn.Conv2d):
    """A convolution with a bias, padded as TensorFlow's "same": the output has ceil(S / stride) rows and columns."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            # TensorFlow pads the odd pixel at the bottom and at the right. PyTorch pads both sides alike, which would shift
            # the picture by a pixel at each of the five strides.
            rows, columns = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(x)


class _Block(nn.Module):
    """An inverted residual block: widen, filter each channel, narrow without an activation."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inside * expansion
        self.expand = _Conv(inside, hidden, 1) if expansion > 1 else None
        self.depthwise = _Conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _Conv(hidden, outside, 1)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        hidden = self.project(F.relu6(self.depthwise(hidden), inplace=True))
        return hidden + x if self.residual else hidden


class EfficientNetLite0(nn.Module):
    """Pictures (N, 3, S, S) -> features (N, 1280) float32, each at least 0 and at most 6.

    Pixels p in [0, 1] are given as (255 p - 127) / 128. The network was trained with S = 224.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, 2)
        blocks, inside = [], _STEM
        for count, kernel, first_stride, expansion, outside in _STAGES:
            for number in range(count):
                blocks.append(_Block(inside, outside, kernel, 1 if number else first_stride, expansion))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.top = _Conv(inside, FEATURES, 1)

    def forward(self, images: Tensor) -> Tensor:
        # An exported program must take any number of pictures: groups, and len(), would fix the number of the example.
        if images.device.type == "cpu" and not torch.compiler.is_exporting() and images.shape[0] > _GROUP:
            return torch.cat([self._features(group) for group in images.split(_GROUP)])
        return self._features(images)

    def _features(self, images: Tensor) -> Tensor:
        # On CPUs, PyTorch filters each channel two to three times faster in this order in memory.
        images = images.contiguous(memory_format=torch.channels_last)
        hidden = self.blocks(F.relu6(self.stem(images), inplace=True))
        return F.relu6(self.top(hidden), inplace=True).float().mean(dim=(2, 3))


def fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the published tensors with batch norm into those of an `EfficientNetLite0`, which computes the same in evaluation.

    A convolution with weight w, followed by batch norm (mean m, variance v, weight g, bias b), becomes a convolution with weight
    w g / s and bias b - m g / s, where s = sqrt(v + eps).

    Args:
        state: name -> tensor, named as in the published file, e.g. ``_blocks.3._expand_conv.weight`` and ``_blocks.3._bn0.weight``.

    Raises:
        KeyError: a tensor is missing.
    """
    folded: dict[str, Tensor] = {}

    def convolution(ours: str, theirs: str, norm: str) -> None:
        # In double precision, so that every machine rounds to the same weights: saved classifiers record a hash of them.
        weight, scale, bias, mean, variance = (
            state[name].double()
            for name in (
                f"{theirs}.weight",
                *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
            )
        )
        factor = scale / torch.sqrt(variance + _EPS)
        folded[f"{ours}.weight"] = (weight * factor.view(-1, 1, 1, 1)).float()
        folded[f"{ours}.bias"] = (bias - mean * factor).float()

    convolution("stem", "_conv_stem", "_bn0")
    for number in range(sum(stage[0] for stage in _STAGES)):
        ours, theirs = f"blocks.{number}", f"_blocks.{number}"
        if number:  # the first block does not widen
            convolution(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        convolution(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        convolution(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    convolution("top", "_conv_head", "_bn1")
    return folded
