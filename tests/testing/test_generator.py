"""The standard tests of generators hold for the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.testing import GeneratorTests


class TestCIFAR100(GeneratorTests):
    @pytest.fixture(params=["cifar100-cnn", "cifar100-cnn-taught", "cifar100-many"])
    def generator(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestAFolder(GeneratorTests):
    @pytest.fixture
    def generator(self, tiny_folder: Path) -> Path:
        return tiny_folder
