"""Run `tina` with one more architecture: ``five-layer``, which no generator of this project was ever trained to write.

    python -m benchmarks.reproduce.five_layers zoo build --architecture five-layer ...

It plays the part of a third party: it registers a network with other depths and kernel sizes, and declares nothing else.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework import register_architecture
from tina_framework.cli.__main__ import main as tina

__all__ = ["FiveLayers", "register"]


class FiveLayers(nn.Module):
    """conv 3→12 (5x5, stride 2) → 12→24 (3x3) → 24→32 (5x5, stride 2) → 32→32 (1x1) → mean → linear 32→32 → linear 32→K.

    ReLUs are between the layers, and all but the last have no bias: 25,070 parameters for ten classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 5, stride=2, padding=2, bias=False)
        self.middle = nn.Conv2d(12, 24, 3, padding=1, bias=False)
        self.down = nn.Conv2d(24, 32, 5, stride=2, padding=2, bias=False)
        self.mix = nn.Conv2d(32, 32, 1, bias=False)
        self.hidden = nn.Linear(32, 32, bias=False)
        self.head = nn.Linear(32, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for layer in (self.stem, self.middle, self.down, self.mix):
            x = F.relu(layer(x))
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.head(F.relu(self.hidden(x.float().mean(dim=(2, 3)).to(self.head.weight.dtype))))
        return logits


def register() -> None:
    """Register ``five-layer`` in this program."""
    register_architecture("five-layer")(FiveLayers)


if __name__ == "__main__":
    register()
    tina(sys.argv[1:])
