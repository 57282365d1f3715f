"""The plugin that registers everything built in. An entry point names it, as for any other plugin.

All targets are strings, so that listing them imports neither torch nor the modules named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework.plugin.hookspecs import Registrar

__all__ = ["tina_register"]

TINA_API = "2.4"

_HERE = "tina_framework.builtins"
# The methods read zoos and train networks, which no interface offers, so they lie where they may import that.
_METHODS = "tina_framework.evaluation.methods"
_SAMPLER = "[SCHEDULER:]STEPS"


@hookimpl
def tina_register(registry: Registrar) -> None:
    registry.encoders.add("clip-vit-b-32", f"{_HERE}.encoders.clip_vit:CLIPEncoder")
    registry.encoders.add("embedding-table", f"{_HERE}.encoders.embedding_table:EmbeddingTable")
    registry.encoders.add("clip-lite", f"{_HERE}.encoders.clip_lite:CLIPLite")

    registry.architectures.add("cnn-2layer", f"{_HERE}.architectures.cnn_2layer:cnn_2layer")
    registry.architectures.add("cnn-3layer", f"{_HERE}.architectures.cnn_3layer:cnn_3layer")

    registry.tokenizers.add("class-row", f"{_HERE}.tokenizers.class_row:ClassRowTokenizer")
    registry.tokenizers.add("chunk", f"{_HERE}.tokenizers.chunk:ChunkTokenizer")
    registry.tokenizers.add("filter", f"{_HERE}.tokenizers.filter:FilterTokenizer")

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

    _register_methods(registry)

    registry.generators.add("cifar100-cnn", "tina_framework:pretrained/cifar100-cnn")
    registry.generators.add("cifar100-cnn-taught", "tina_framework:pretrained/cifar100-cnn-taught")
    registry.generators.add("cifar100-many", "tina_framework:pretrained/cifar100-many")
    registry.zoos.add("cifar100-zoo", "tina_framework:pretrained/cifar100-zoo")


def _register_methods(registry: Registrar) -> None:
    """Register the methods of `tina evaluate`, in the order in which help and messages list them.

    Terms: the *generic model* has an output for every class of the data set. A *p-Model* is the generic model fine-tuned on the
    images of one task. *Shared tensors* are the parameters without a class axis; *class rows* belong to one class each.
    """
    add = registry.methods.add
    add(
        "tina",
        f"{_METHODS}.tina:Tina",
        summary="the generator, with its own sampler or another one",
        argument=_SAMPLER,
    )
    add(
        "common",
        f"{_METHODS}.common:Common",
        summary="the generator with its shared tensors averaged over training tasks",
        argument=_SAMPLER,
    )
    add(
        "chance",
        f"{_METHODS}.chance:Chance",
        summary="a network of zeros, which gives every image the same class",
    )
    add(
        "random-prompt",
        f"{_METHODS}.random_prompt:RandomPrompt",
        summary="the generator with random vectors in place of the prompts",
        argument=_SAMPLER,
    )
    add("generic", f"{_METHODS}.generic:Generic", summary="the generic model with its outputs for all classes")
    add(
        "selection",
        f"{_METHODS}.selection:Selection",
        summary="the generic model with only the outputs of the task's classes",
        argument="ZOO, MODEL or FILE.safetensors",
    )
    add(
        "substitute",
        f"{_METHODS}.substitute:Substitute",
        summary="selection, with the most similar known class for each unknown one",
    )
    add("average", f"{_METHODS}.average:Average", summary="the mean of the zoo's p-Models")
    add("nearest", f"{_METHODS}.nearest:Nearest", summary="the zoo's p-Model of the most similar training task")
    add(
        "noise",
        f"{_METHODS}.noise:Noise",
        summary="nearest, with Gaussian noise on every parameter",
        argument="SCALE",
    )
    add(
        "ridge",
        f"{_METHODS}.ridge:Ridge",
        summary="class rows predicted from text vectors by ridge regression",
        argument="STRENGTH",
    )
    add(
        "regressor",
        f"{_METHODS}.regressor:Regressor",
        summary="a generator that was trained without diffusion",
        argument="MODEL",
        argument_required=True,
    )
    add(
        "taper",
        f"{_METHODS}.taper:Taper",
        summary="basis models mixed by text (TAPER)",
        argument="FOLDER",
        argument_required=True,
    )
    add(
        "fine-tune",
        f"{_METHODS}.fine_tune:FineTune",
        summary="the generic model trained on the task's own images",
        argument="long, short or FIELD=VALUE:...",
    )
    add("p-model", f"{_METHODS}.p_model:PModel", summary="the stored p-Model, for tasks that are in the zoo")
    add(
        "zero-shot",
        f"{_METHODS}.zero_shot:ZeroShot",
        summary="text vectors of the class names as the linear head (CLIP)",
        argument="TEMPLATE",
    )
