"""The standard tests of exporters hold for the built-in ones."""

from __future__ import annotations

import pytest

from tina_framework import registries
from tina_framework.interfaces.exporter import Exporter
from tina_framework.testing import ExporterTests


class TestOnnx(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return registries().exporters.create("onnx")


class TestTorchExport(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return registries().exporters.create("torch-export")
