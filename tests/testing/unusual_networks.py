"""Networks that are sound but unusual, on which the standard tests of plugins have to hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tina_framework.interfaces.architecture import TargetArchitecture


class GreyNet(nn.Module):
    """One channel in."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=2)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.conv(images)).amax(dim=(2, 3)))


class GroupNormNet(nn.Module):
    """Normalised, but image by image."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.GroupNorm(4, 8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)))


class ColumnsNet(nn.Module):
    """Class axes that are not the first: x @ w with w (features, K), and one scale for each of two halves and each class."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(12, num_classes) / 4)
        self.scale = nn.Parameter(torch.ones(2, num_classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        scores = images.unflatten(2, (2, -1)).mean(dim=(3, 4)).flatten(1).repeat(1, 2) @ self.w
        return (scores[:, None, :, None] * self.scale).mean(dim=(1, 3))


GREY = TargetArchitecture("grey", GreyNet, (1, 28, 20), mean=(0.13,), std=(0.3,))
GROUP_NORM = TargetArchitecture("group-norm", GroupNormNet, (3, 9, 9))
COLUMNS = TargetArchitecture("columns", ColumnsNet, (3, 8, 8))
