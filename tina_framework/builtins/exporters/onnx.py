"""The format ``onnx``: for ONNX Runtime, OpenVINO, TensorRT and other programs that read the Open Neural Network Exchange."""

from __future__ import annotations

import json
import os
import tempfile
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

# What is computed with 8-bit integers; see `int8`.
_INT8 = ("Conv", "Relu", "Clip", "Add", "MaxPool")


class OnnxExporter:
    """Writes one ``.onnx`` file: input ``pixels`` (N, H, W, 3) uint8, output ``logits`` (N, K) float32.

    Metadata are in ``metadata_props``: one JSON text under each key.
    """

    suffix = ".onnx"
    int8: Int8 = "optional"
    modules = ("onnx", "onnxscript", "onnxruntime")

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        import onnx

        model = _without_traces(_converted(source) if source.calibration is None else _quantised(source))
        for key, value in source.metadata.items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, json.dumps(value, ensure_ascii=False)
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())
        return {"opset": OPSET, "operators": len(model.graph.node)}

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

        def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
            logits: npt.NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
            return logits

        return predict


def _runtime() -> Any:
    # Since version 1.32 it reports its use to its maker. Who exports a classifier did not ask for that, but may allow it.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


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


def _quantised(source: ExportSource) -> onnx.ModelProto:
    import onnx

    _runtime()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from tina_framework.builtins.exporters.int8 import prepared

    pictures = source.calibration
    assert pictures is not None
    with tempfile.TemporaryDirectory() as folder:
        floating, fused, written = (Path(folder, f"{name}.onnx") for name in ("floating", "fused", "written"))
        onnx.save_model(_converted(prepared(source)), floating)
        quant_pre_process(floating, fused, skip_symbolic_shape=True)
        quantize_static(
            fused,
            written,
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_INT8),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load_model(written)


class _Pictures:
    """Calibration pictures in the form that ONNX Runtime takes: one at a time, then None."""

    def __init__(self, pictures: Pixels) -> None:
        self._rest = iter(pictures)

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self._rest, None)
        return None if picture is None else {INPUT: picture[None]}
