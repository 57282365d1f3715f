"""Networks and pictures for the tests of format ``c``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.interfaces.exporter import ExportNetwork, ExportSource, Pixels

SIZE = 12
CLASSES = ("ant", 'bee "x" ??/', "ça\\va")


class Everything(nn.Module):
    """A network of all operations that the format knows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depth = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.grouped = nn.Conv2d(8, 12, 1, groups=4)
        self.hidden = nn.Linear(12 * 2 * 2, 9)
        self.last = nn.Linear(9, len(CLASSES), bias=False)
        with torch.no_grad():
            self.norm.weight.copy_(torch.randn(8))
            self.norm.bias.copy_(torch.randn(8))

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu6(self.first(images))
        # Read twice, so that the activation cannot join the sum.
        total = hidden + self.norm(self.depth(hidden))
        hidden = F.relu(total) + total.clamp(-1, 1)
        hidden = F.max_pool2d(hidden, 3, stride=1, padding=1).clamp(max=1.5)
        hidden = F.avg_pool2d(self.grouped(hidden), 2, stride=2, padding=1)
        hidden = F.adaptive_avg_pool2d(hidden, 2) / 2
        logits: Tensor = self.last(torch.relu(self.hidden(hidden.flatten(1))))
        return logits


class ClassMaps(nn.Module):
    """A network whose logits are means of maps: no linear layer at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, len(CLASSES), 3)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.maps(images)
        return maps.mean(dim=(2, 3))


def pictures(count: int, seed: int = 0, size: int = SIZE) -> Pixels:
    """Return noise around a random colour, black, white, and pictures with both."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (count, 1, 1, 3))
    noise = random.normal(0, 1, (count, size, size, 3)) * random.uniform(0, 90, (count, 1, 1, 1))
    found = np.clip(colours + noise, 0, 255).astype(np.uint8)
    found[0], found[1] = 0, 255
    found[2, ::2] = 255
    return found


def source_of(inner: nn.Module, *, trunk: nn.Module | None = None, size: int = SIZE, **changes: Any) -> ExportSource:
    """Return what an exporter is given. The standardisation differs from channel to channel."""
    whole = ExportNetwork(inner, trunk, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).eval().requires_grad_(False)
    given: dict[str, Any] = {
        "network": whole,
        "input_shape": (3, size, size),
        "class_names": CLASSES,
        "metadata": {"provenance": "ends */ early /* ??/ \\", "abstention_threshold": 0.25},
        "calibration": pictures(24, size=size),
    }
    return ExportSource(**{**given, **changes})


def everything(seed: int = 0) -> ExportSource:
    """Return `Everything` with fixed random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return source_of(Everything())
