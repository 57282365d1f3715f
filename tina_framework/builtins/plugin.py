"""The plugin that registers everything built in. An entry point names it, as for any other plugin.

All targets are strings, so that listing them imports neither torch nor the modules named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework.plugin.hookspecs import Registrar

__all__ = ["tina_register"]

TINA_API = "2.2"

_HERE = "tina_framework.builtins"


@hookimpl
def tina_register(registry: Registrar) -> None:
    registry.encoders.add("clip-vit-b-32", f"{_HERE}.encoders.clip_vit:CLIPEncoder")
    registry.encoders.add("embedding-table", f"{_HERE}.encoders.embedding_table:EmbeddingTable")
    registry.encoders.add("clip-lite", f"{_HERE}.encoders.clip_lite:CLIPLite")

    registry.architectures.add("cnn-2layer", f"{_HERE}.architectures.cnn_2layer:cnn_2layer")

    registry.tokenizers.add("class-row", f"{_HERE}.tokenizers.class_row:ClassRowTokenizer")
    registry.tokenizers.add("chunk", f"{_HERE}.tokenizers.chunk:ChunkTokenizer")

    registry.schedulers.add("ddpm", f"{_HERE}.schedulers.ddpm:DDPMScheduler")
    registry.schedulers.add("ddim", f"{_HERE}.schedulers.ddim:DDIMScheduler")
    registry.schedulers.add("flow-match-euler", f"{_HERE}.schedulers.flow_match_euler:FlowMatchEulerDiscreteScheduler")

    registry.datasets.add("cifar100", f"{_HERE}.datasets.cifar100:cifar100")
    registry.datasets.add("arrays", f"{_HERE}.datasets.arrays:arrays")
    registry.datasets.add("image-folder", f"{_HERE}.datasets.image_folder:image_folder")
    registry.datasets.add("shapes", f"{_HERE}.datasets.shapes:shapes")

    registry.exporters.add("executorch", f"{_HERE}.exporters.executorch:ExecuTorchExporter")
    registry.exporters.add("onnx", f"{_HERE}.exporters.onnx:OnnxExporter")
    registry.exporters.add("c", f"{_HERE}.exporters.c.exporter:CExporter")
    registry.exporters.add("torch-export", f"{_HERE}.exporters.torch_export:TorchExportExporter")
    registry.exporters.add("tflite", f"{_HERE}.exporters.tflite:TFLiteExporter")
    registry.exporters.add("web", f"{_HERE}.exporters.web.exporter:WebExporter")

    registry.generators.add("cifar100-cnn", "tina_framework:pretrained/cifar100-cnn")
    registry.zoos.add("cifar100-zoo", "tina_framework:pretrained/cifar100-zoo")
