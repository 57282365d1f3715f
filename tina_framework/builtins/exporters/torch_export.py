"""The format ``torch-export``: a program of `torch.export`, which PyTorch loads without this package."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.interfaces.exporter import ExportSource, Int8, Pixels, Predict

__all__ = ["TorchExportExporter"]

_METADATA = "tina.json"


class TorchExportExporter:
    """Writes one ``.pt2`` file. Load it with ``torch.export.load(path).module()``.

    Metadata are in its extra file ``tina.json``; see `torch.export.load`.
    """

    suffix = ".pt2"
    int8: Int8 = "never"
    modules: tuple[str, ...] = ()

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        program = exported_program(source)
        # PyTorch aborts with a trace of its C++ code when the disk is full; Python raises an OSError.
        written = io.BytesIO()
        torch.export.save(program, written, extra_files={_METADATA: json.dumps(source.metadata, ensure_ascii=False)})
        path.write_bytes(written.getvalue())
        return {"torch": torch.__version__.partition("+")[0], "operators": _operators(program)}

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()

        def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
            with torch.no_grad():
                logits: npt.NDArray[np.float32] = module(torch.from_numpy(pixels)).numpy()
            return logits

        return predict


def _operators(program: torch.export.ExportedProgram) -> int:
    return sum(node.op == "call_function" for node in program.graph.nodes)
