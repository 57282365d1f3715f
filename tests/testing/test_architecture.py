"""The standard tests of architectures hold for the built-in one, and for sound but unusual ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.plugin.discovery import registries
from tina_framework.testing import (
    ArchitectureTests,
    run_checks,
)


class TestCNN2Layer(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return registries().architectures.create("cnn-2layer")


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


class Averages(nn.Module):
    """A frozen trunk without parameters: the picture at a quarter of its size, as a list of numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, 4).flatten(1)


BEHIND_A_TRUNK = TargetArchitecture(
    "behind-a-trunk", lambda k: nn.Linear(12, k), (3, 8, 8), trunk=FrozenTrunk("averages", Averages, (12,))
)


class TestBehindATrunk(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return BEHIND_A_TRUNK


class TestOneChannel(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return GREY


class TestGroupNorm(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return GROUP_NORM


class TestClassAxisNotFirst(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return COLUMNS


@pytest.mark.parametrize("architecture", [GREY, GROUP_NORM, COLUMNS], ids=lambda architecture: architecture.name)
def test_without_pytest_they_pass_too(architecture: TargetArchitecture) -> None:
    assert [result for result in run_checks("architecture", architecture) if not result.passed] == []
