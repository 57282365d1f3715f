"""The standard tests of architectures hold for the built-in ones, and for sound but unusual ones."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from tests.testing.unusual_networks import COLUMNS, GREY, GROUP_NORM
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


class TestCNN3Layer(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return registries().architectures.create("cnn-3layer")


class Averages(nn.Module):
    """A frozen trunk without parameters: the picture at a quarter of its size, as a list of numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, 4).flatten(1)


BEHIND_A_TRUNK = TargetArchitecture(
    "behind-a-trunk",
    lambda k: nn.Linear(12, k),
    (3, 8, 8),
    trunk=FrozenTrunk("averages", Averages, (12,), skeleton=Averages),
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


class TestNarrow(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return registries().architectures.create("cnn-2layer@0.25")
