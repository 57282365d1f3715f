"""The format ``executorch``: for phones and other devices that run ExecuTorch, PyTorch's runtime for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.builtins.exporters.quiet import quiet
from tina_framework.interfaces.exporter import ExportSource, Int8, Pixels, Predict

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

__all__ = ["METADATA", "ExecuTorchExporter"]

METADATA = "metadata"
"""The method of the program that returns its metadata, as a JSON text."""

_FORWARD = "forward"

_ADDITIONS = ("aten.add.Tensor", "aten.add_.Tensor")
_INT8 = (
    *_ADDITIONS,
    "aten.conv2d.default",
    "aten.relu.default",
    "aten.relu_.default",
    "aten.hardtanh.default",
    "aten.hardtanh_.default",
)
# What is computed with 8-bit integers; see `int8`.


class ExecuTorchExporter:
    """Writes one ``.pte`` file for the XNNPACK delegate, which runs on ARM and x86 processors.

    The method ``forward`` takes one picture (1, H, W, 3) uint8 and returns logits (1, K) float32. The method `METADATA` takes nothing.
    """

    suffix = ".pte"
    int8: Int8 = "optional"
    modules = ("executorch", "torchao")

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
            from executorch.version import __version__

            program = exported_program(source, batch=1) if source.calibration is None else _quantised(source)
            lowered = to_edge_transform_and_lower(
                program,
                partitioner=[XnnpackPartitioner()],
                constant_methods={METADATA: json.dumps(source.metadata, ensure_ascii=False)},
            )
            written = lowered.to_executorch()
        path.write_bytes(written.buffer)
        return {"executorch": __version__.partition("+")[0], "delegate": "XNNPACK", "batch": 1}

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        import torch

        with quiet():
            from executorch.runtime import Runtime

            method = Runtime.get().load_program(path).load_method(_FORWARD)
        assert method is not None

        def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
            with quiet():  # the first call reads about the processor, and says so
                # A copy, because the runtime returns the same memory each time.
                rows = [method.execute([torch.from_numpy(picture[None])])[0].numpy().copy() for picture in pixels]
            logits: npt.NDArray[np.float32] = np.concatenate(rows)
            return logits

        return predict


def _quantised(source: ExportSource) -> ExportedProgram:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from tina_framework.builtins.exporters.int8 import prepared

    assert source.calibration is not None
    ready = prepared(source)
    graph = exported_program(ready, batch=1).module()

    def chosen(node: Node) -> bool:
        # Weights and biases are asked about, too. Additions in the standardisation and the head are not of feature maps.
        if node.op != "call_function":
            return True
        return (
            str(node.target) in _INT8
            and node.meta["val"].dim() == 4
            and (str(node.target) not in _ADDITIONS or len(node.all_input_nodes) == 2)
        )

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    quantizer.set_filter_function(chosen)
    observed = prepare_pt2e(graph, quantizer)
    with torch.no_grad():
        for picture in source.calibration:
            observed(torch.from_numpy(picture[None]))
        converted = convert_pt2e(observed)
        return torch.export.export(converted, (torch.from_numpy(source.calibration[:1]),))
