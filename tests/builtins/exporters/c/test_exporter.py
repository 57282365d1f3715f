"""The exporter, as the framework calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builtins.exporters.c.samples import ClassMaps, everything, source_of
from tina_framework.builtins.exporters.c.exporter import CExporter
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork
from tina_framework.plugin.discovery import registries
from tina_framework.testing import ExporterTests


class TestC(ExporterTests):
    @pytest.fixture
    def exporter(self) -> CExporter:
        return CExporter()


def test_it_is_registered() -> None:
    assert isinstance(registries().exporters.create("c"), CExporter)


def test_it_writes_a_header_and_a_file_and_says_how_large(tmp_path: Path) -> None:
    facts = CExporter().write(everything(), tmp_path / "My pets")
    assert sorted(path.name for path in (tmp_path / "My pets").iterdir()) == ["my_pets.c", "my_pets.h"]
    assert facts["files"] == ["my_pets.h", "my_pets.c"]
    assert 0 < facts["constant_bytes"] < 3000
    assert 0 < facts["ram_bytes"] < 3000


def test_pictures_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give at least one for calibration"):
        CExporter().write(source_of(ClassMaps(), calibration=None), tmp_path / "pets")
    assert not (tmp_path / "pets").exists()


def test_grey_pictures_are_refused(tmp_path: Path) -> None:
    grey = ExportNetwork(ClassMaps(), None, (0.5,), (0.5,))
    with pytest.raises(ConfigError, match="sees 1 channel"):
        CExporter().write(source_of(ClassMaps(), network=grey, input_shape=(1, 12, 12)), tmp_path / "pets")
    assert not (tmp_path / "pets").exists()
