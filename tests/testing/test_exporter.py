"""The standard tests of exporters hold for the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from tina_framework import registries
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import Exporter, ExportSource, Int8, Predict
from tina_framework.testing import ExporterTests, run_checks


class TestOnnx(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return registries().exporters.create("onnx")


class TestTorchExport(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return registries().exporters.create("torch-export")


class LinearOnly:
    """A format that holds one linear layer, as that of docs/how-to/plugins.md does."""

    suffix = ".npz"
    int8: Int8 = "never"
    modules: tuple[str, ...] = ()

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        layer = source.network.network
        if not isinstance(layer, nn.Sequential):
            raise ConfigError("This format holds linear layers only.")
        np.savez(path, weight=layer[1].weight.numpy(), bias=layer[1].bias.numpy())
        return {}

    def load(self, path: Path) -> Predict:
        with np.load(path) as file:
            weight, bias = file["weight"], file["bias"]
        return lambda pixels: (pixels / 127.5 - 1).transpose(0, 3, 1, 2).reshape(len(pixels), -1) @ weight.T + bias


LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 3))


class TestWithANetworkOfTheAuthor(ExporterTests):
    network = LINEAR

    @pytest.fixture
    def exporter(self) -> Exporter:
        return LinearOnly()


def test_a_format_that_refuses_the_network_of_the_kit_is_told_of_the_flag() -> None:
    results = {result.name: result for result in run_checks("exporter", LinearOnly())}
    assert not any(result.failed for result in results.values())
    skipped = results["check_floating_point"]
    assert skipped.skipped
    assert "holds linear layers only" in skipped.message
    assert "flag `network`" in skipped.message


def test_a_network_of_the_author_that_is_refused_is_a_finding() -> None:
    results = {result.name: result for result in run_checks("exporter", LinearOnly(), network=nn.Flatten())}
    assert results["check_floating_point"].failed
