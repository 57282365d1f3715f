"""The format ``tflite``: for LiteRT, formerly TensorFlow Lite, on phones and microcontrollers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.quiet import quiet
from tina_framework.interfaces.exporter import ExportSource, Int8, Pixels, Predict

__all__ = ["LABELS", "METADATA", "TFLiteExporter"]

METADATA = "tina.json"
LABELS = "labels.txt"
"""Files in the ZIP archive at the end of the model, where TensorFlow Lite keeps associated files. Interpreters ignore it."""

# The names that the converter gives.
_INPUT, _SIGNATURE = "args_0", "serving_default"

# What is computed with 8-bit integers; see `int8`. Padding and pooling copy or compare values, and need no ranges of their own.
_INT8 = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "MAX_POOL_2D", "RELU")


class TFLiteExporter:
    """Writes one ``.tflite`` file: input one picture (1, H, W, 3) uint8, output logits (1, K) float32.

    Metadata are in a ZIP archive that follows the model, as `METADATA` and `LABELS`: ``unzip -p model.tflite tina.json``.
    """

    suffix = ".tflite"
    int8: Int8 = "optional"
    modules = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        with quiet():
            model = _converted(source) if source.calibration is None else _quantised(source)
        path.write_bytes(model)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(METADATA, json.dumps(source.metadata, ensure_ascii=False))
            archive.writestr(LABELS, "\n".join(source.class_names) + "\n")
        return {"litert_torch": version("litert-torch"), "batch": 1}

    def load(self, path: Path) -> Predict:
        """See `tina_framework.interfaces.exporter.Exporter.load`."""
        with quiet():
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
            interpreter.allocate_tensors()
        inside = interpreter.get_input_details()[0]["index"]
        outside = interpreter.get_output_details()[0]["index"]

        def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
            rows = []
            for picture in pixels:
                interpreter.set_tensor(inside, picture[None])
                interpreter.invoke()
                rows.append(interpreter.get_tensor(outside))
            logits: npt.NDArray[np.float32] = np.concatenate(rows)
            return logits

        return predict


def _converted(source: ExportSource) -> bytes:
    import tempfile

    import litert_torch
    import torch

    _, height, width = source.input_shape
    # The converter cannot divide a tensor whose number of pictures is open, so the file takes one.
    example = (torch.zeros((1, height, width, 3), dtype=torch.uint8),)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.tflite")
        litert_torch.convert(source.network.eval(), example).export(str(file))
        return file.read_bytes()


def _quantised(source: ExportSource) -> bytes:
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    from tina_framework.builtins.exporters.int8 import prepared

    assert source.calibration is not None
    recipe = recipe_manager.RecipeManager()
    for name in _INT8:
        recipe.add_static_config(".*", qtyping.TFLOperationName(name), activation_num_bits=8, weight_num_bits=8)
    model = bytearray(_converted(prepared(source)))
    # The largest and smallest values. By default the ranges are moving averages, which cut off the values of unusual pictures.
    ranges = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    pictures = [{_INPUT: picture[None]} for picture in source.calibration]
    ranges.calibrate({_SIGNATURE: pictures}, recipe)
    work = quantizer.Quantizer(model, recipe.get_quantization_recipe())
    return bytes(work.quantize(ranges.get_model_qsvs()).quantized_model)
