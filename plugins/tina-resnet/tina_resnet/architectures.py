"""The two target architectures of this package."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from tina_framework import TargetArchitecture
from tina_framework.interfaces.architecture import FrozenTrunk
from tina_framework.storage.files import check_tensors, read_safetensors
from tina_resnet.resnet20 import FEATURES, ResNet20, Trunk

__all__ = ["TRUNK", "WEIGHTS", "Head", "load_trunk", "resnet20", "resnet20_head"]

TRUNK = "resnet20-cifar100"
WEIGHTS = Path(__file__).resolve().parent / "weights" / f"{TRUNK}.safetensors"


def load_trunk() -> nn.Module:
    """Return ResNet-20 up to its 64 features, trained on CIFAR-100 by `trunk/train.py`, with batch norm folded.

    Raises:
        CheckpointError: the file of weights is missing or damaged; reinstall the package.
    """
    with torch.device("meta"):
        trunk = Trunk()
    weights = read_safetensors(WEIGHTS)
    shapes = {name: tuple(tensor.shape) for name, tensor in trunk.state_dict().items()}
    check_tensors(weights, shapes, f"'{WEIGHTS.name}' of tina-resnet")
    trunk.load_state_dict(weights, assign=True)
    return trunk


class Head(nn.Module):
    """Features (N, 64) -> logits (N, K): 65 parameters per class, 650 for ten classes, as in the paper (arXiv 2405.14132)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        # Under autocast the head stays in full precision: rounding would hide small differences between large logits.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.fc(features.to(self.fc.weight.dtype))
        return logits


resnet20_head = TargetArchitecture(name="resnet20-head", build=Head, trunk=FrozenTrunk(TRUNK, load_trunk, (FEATURES,)))

resnet20 = TargetArchitecture(name="resnet20", build=ResNet20)
