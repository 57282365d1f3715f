"""Standard tests for exporters."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from tina_framework.interfaces.exporter import Exporter
from tina_framework.testing._base import ConformanceTests, conforms, missing_fixture, pytest
from tina_framework.testing.checks import exporter as checks

__all__ = ["ExporterTests"]


class ExporterTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `exporter`, which returns an `Exporter`.

    Attributes:
        network: a network from (N, 3, 12, 12) to (N, 3) that the format holds. None: a convolution, an activation and a linear
            layer; if the format refuses these, the tests are skipped.
    """

    network: ClassVar[nn.Module | None] = None

    @pytest.fixture
    def exporter(self) -> Exporter:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("exporter", "an Exporter")

    def test_fields(self, exporter: Exporter) -> None:
        """To fix: set suffix, int8 and modules as tina_framework.interfaces.exporter describes."""
        conforms(self, checks.check_fields, exporter)

    def test_floating_point(self, exporter: Exporter) -> None:
        """To fix: compare the file's layers with those of source.network one by one."""
        conforms(self, checks.check_floating_point, exporter)

    def test_int8(self, exporter: Exporter) -> None:
        """To fix: choose the ranges of 8-bit integers on source.calibration."""
        conforms(self, checks.check_int8, exporter)

    def test_changes_nothing(self, exporter: Exporter) -> None:
        """To fix: work on a copy of source.network, and write only to the path."""
        conforms(self, checks.check_changes_nothing, exporter)
