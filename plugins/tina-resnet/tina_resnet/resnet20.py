"""ResNet-20 for 32x32 pictures (He et al., arXiv 1512.03385, section 4.2): three stages of three blocks, 16, 32 and 64 wide.

A trunk is trained with batch norm, which is then folded into the convolutions (`fold`), because a frozen network needs no batch
statistics. The generated whole network has no batch norm, because its running statistics cannot be generated. Instead, each
residual branch is multiplied by a trained scalar that starts at zero (SkipInit, arXiv 2002.10444), so that it can be trained.

Shapes: N pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FEATURES", "ResNet20", "Trunk", "fold", "trainable_trunk"]

FEATURES = 64
"""Number of features: the width of the last stage, which is averaged over the picture."""

_STAGES = (16, 32, 64)
_BLOCKS = 3

Norm = Callable[[int], nn.Module]


class _Block(nn.Module):
    """Two 3x3 convolutions, and a shortcut without parameters (option A of the paper)."""

    def __init__(self, inside: int, outside: int, norm: Norm | None, skip_init: bool) -> None:
        super().__init__()
        stride = 1 if inside == outside else 2
        plain = norm is None
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=plain)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=plain)
        self.norm1 = norm(outside) if norm is not None else nn.Identity()
        self.norm2 = norm(outside) if norm is not None else nn.Identity()
        self.extra = outside - inside
        self.branch = nn.Parameter(torch.zeros(1)) if skip_init else None

    def forward(self, x: Tensor) -> Tensor:
        # Option A: where the width grows, take every second pixel and pad the new channels with zeros.
        shortcut = x
        if self.extra:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        hidden = F.relu(self.norm1(self.conv1(x)))
        hidden = self.norm2(self.conv2(hidden))
        if self.branch is not None:
            hidden = hidden * self.branch
        result: Tensor = F.relu(hidden + shortcut)
        return result


class Trunk(nn.Module):
    """Pictures (N, 3, 32, 32) -> features (N, 64).

    Args:
        norm: makes the normalisation after each convolution. If None, there is none, and the convolutions have biases.
        skip_init: multiply each residual branch by a trained scalar that starts at zero.
    """

    def __init__(self, norm: Norm | None = None, skip_init: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, _STAGES[0], 3, 1, 1, bias=norm is None)
        self.norm = norm(_STAGES[0]) if norm is not None else nn.Identity()
        blocks, inside = [], _STAGES[0]
        for width in _STAGES:
            for _ in range(_BLOCKS):
                blocks.append(_Block(inside, width, norm, skip_init))
                inside = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.blocks(F.relu(self.norm(self.conv(images))))
        return hidden.float().mean(dim=(2, 3))


class ResNet20(nn.Module):
    """The whole network without batch norm: pictures (N, 3, 32, 32) -> logits (N, K). 269,043 parameters for ten classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.trunk = Trunk(skip_init=True)
        self.fc = nn.Linear(FEATURES, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.trunk(images).to(self.fc.weight.dtype)
        # Under autocast the head stays in full precision: rounding would hide small differences between large logits.
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.fc(features)
        return logits


def trainable_trunk() -> Trunk:
    """Return a trunk with batch norm, to be trained."""
    return Trunk(nn.BatchNorm2d)


def fold(state: Mapping[str, Tensor], eps: float = 1e-5) -> dict[str, Tensor]:
    """Turn the state of a `trainable_trunk` into that of a `Trunk` without normalisation, which computes the same in evaluation.

    A convolution with weight w, followed by batch norm (mean m, variance v, weight g, bias b), becomes a convolution with weight
    w g / s and bias b - m g / s, where s = sqrt(v + eps).
    """
    folded: dict[str, Tensor] = {}
    for name, weight in state.items():
        if not name.endswith("weight") or "norm" in name:
            continue
        norm = name.removesuffix(".weight").replace("conv", "norm")
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + eps)
        folded[name] = weight * scale.view(-1, 1, 1, 1)
        folded[name.removesuffix("weight") + "bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return folded
