"""The format ``onnx``: for ONNX Runtime, OpenVINO, TensorRT and other programs that read the Open Neural Network Exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.interfaces.exporter import ExportSource, Int8, Pixels, Predict

if TYPE_CHECKING:
    import onnx

__all__ = ["INPUT", "OPSET", "OUTPUT", "OnnxExporter"]

OPSET = 18
"""The lowest opset that the exporter of PyTorch writes without conversion, so that old programs read the file."""

INPUT, OUTPUT = "pixels", "logits"


class OnnxExporter:
    """Writes one ``.onnx`` file: input ``pixels`` (N, H, W, 3) uint8, output ``logits`` (N, K) float32.

    Metadata are in ``metadata_props``: one JSON text under each key.
    """

    suffix = ".onnx"
    int8: Int8 = "never"
    modules = ("onnx", "onnxscript", "onnxruntime")

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        import onnx

        model = _without_traces(_converted(source))
        for key, value in source.metadata.items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, json.dumps(value, ensure_ascii=False)
        onnx.checker.check_model(model, full_check=True)
        onnx.save_model(model, path)
        return {"opset": OPSET, "operators": len(model.graph.node)}

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
            logits: npt.NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
            return logits

        return predict


def _converted(source: ExportSource) -> onnx.ModelProto:
    import torch

    program = torch.onnx.export(
        exported_program(source),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove how each operation was found in the Python code: thousands of bytes, with names of modules and paths."""
    for entry in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")
    return model
