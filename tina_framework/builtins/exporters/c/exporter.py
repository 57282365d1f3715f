"""The format ``c``: one header and one C99 file with 8-bit integers, for microcontrollers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tina_framework.builtins.exporters.c.compiled import compiled
from tina_framework.builtins.exporters.c.flash import flash_bytes
from tina_framework.builtins.exporters.c.graph import read_network
from tina_framework.builtins.exporters.c.integers import IntegerNetwork
from tina_framework.builtins.exporters.c.quantise import quantised
from tina_framework.builtins.exporters.c.source import c_name, c_source
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource, Int8, Predict

__all__ = ["CExporter", "integer_network"]


class CExporter:
    """Writes a folder with ``NAME.h`` and ``NAME.c``, where NAME is like that of the folder. See docs/how-to/microcontroller.md."""

    suffix = ""
    int8: Int8 = "always"
    modules: tuple[str, ...] = ()

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        network = integer_network(source)
        name = c_name(path.name)
        written = c_source(network, name, source.class_names, source.metadata)
        path.mkdir()
        (path / f"{name}.h").write_text(written.header, encoding="utf-8")
        (path / f"{name}.c").write_text(written.code, encoding="utf-8")
        return {
            "files": [f"{name}.h", f"{name}.c"],
            "constant_bytes": written.constant_bytes,
            "ram_bytes": written.ram_bytes,
        }

    def flash_bytes(self, network: ExportNetwork, input_shape: tuple[int, int, int], class_names: Sequence[str]) -> int:
        """See `tina_framework.interfaces.exporter.StatesFlash.flash_bytes`. It is the `constant_bytes` of `write`."""
        _check_colours(input_shape)
        return flash_bytes(read_network(network, input_shape), class_names)

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        return compiled(path)


def integer_network(source: ExportSource) -> IntegerNetwork:
    """Return the integers that format ``c`` writes. They are the reference for what the C code computes.

    Raises:
        ConfigError: there are no pictures for calibration, or the format cannot hold the network.
    """
    pixels = source.calibration
    if pixels is None or not len(pixels):
        raise ConfigError(
            "Format 'c' chooses the ranges of its integers on pictures; give at least one for calibration."
        )
    _check_colours(source.input_shape)
    network = read_network(source.network, source.input_shape)
    return quantised(network, source.network, np.ascontiguousarray(pixels))


def _check_colours(input_shape: tuple[int, int, int]) -> None:
    if input_shape[0] != 3:
        raise ConfigError(
            f"Format 'c' holds networks that see three colours; this one sees {input_shape[0]} channel. Export to onnx or "
            "executorch instead."
        )
