"""The bytes of constants, counted without numbers, are those that are written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.builtins.exporters.c.samples import CLASSES, ClassMaps, everything, source_of
from tina_framework.builtins.exporters.c.exporter import CExporter
from tina_framework.builtins.exporters.c.flash import flash_bytes
from tina_framework.builtins.exporters.c.graph import read_network
from tina_framework.interfaces.exporter import ExportSource


def test_it_is_what_is_written(tmp_path: Path) -> None:
    """Of a network of all operations, and of one whose last layer is added for the export."""
    sources: list[ExportSource] = [everything(), source_of(ClassMaps())]
    for number, source in enumerate(sources):
        written = CExporter().write(source, tmp_path / f"c{number}")["constant_bytes"]
        assert CExporter().flash_bytes(source.network, source.input_shape, source.class_names) == written


def test_weights_do_not_count(tmp_path: Path) -> None:
    source = everything()
    network = read_network(source.network, source.input_shape)
    before = flash_bytes(network, CLASSES)
    for parameter in source.network.parameters():
        torch.nn.init.zeros_(parameter)
    assert flash_bytes(read_network(source.network, source.input_shape), CLASSES) == before


@pytest.mark.parametrize(("names", "more"), [(("a", "b", "c"), 0), (("a", "bc", "ça"), 3)])
def test_names_count_in_utf8(names: tuple[str, ...], more: int) -> None:
    source = everything()
    network = read_network(source.network, source.input_shape)
    assert flash_bytes(network, names) == flash_bytes(network, ("", "", "")) + 3 + more
