"""The standard tests of zoos hold for the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework import registries
from tina_framework.testing import ZooTests


class TestCIFAR100(ZooTests):
    @pytest.fixture
    def zoo(self) -> Path:
        return registries().zoos.target("cifar100-zoo")
