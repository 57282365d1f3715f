"""Turn a classifier into what exporters are given: one module, and metadata that describe it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tina_framework.interfaces.exporter import ExportNetwork, ExportSource, Pixels
from tina_framework.targets.trunk import load_trunk

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier

__all__ = ["export_source", "metadata_of"]


def export_source(classifier: GeneratedClassifier, calibration: Pixels | None = None) -> ExportSource:
    """Return the classifier as one module on the CPU in float32, with the weights of its trunk.

    Args:
        classifier: is not changed.
        calibration: pictures (M, H, W, 3) for formats with 8-bit integers; None: write floating point.
    """
    look = classifier.preprocessing
    # A copy, because exporters may fuse layers. The trunk is shared by all classifiers of the process.
    trunk = None if classifier.trunk is None else _copied(load_trunk(classifier.trunk, torch.device("cpu")))
    network = ExportNetwork(_copied(classifier.network), trunk, look.mean, look.std)
    return ExportSource(
        network.float().eval().requires_grad_(False),
        look.input_shape,
        tuple(classifier.class_names),
        metadata_of(classifier),
        calibration,
    )


def _copied(network: nn.Module) -> nn.Module:
    with torch.inference_mode(False):
        return copy.deepcopy(network).cpu()


def metadata_of(classifier: GeneratedClassifier) -> dict[str, Any]:
    """Return JSON values that a file should carry, so that its user knows what goes in and what comes out."""
    look = classifier.preprocessing
    channels, height, width = look.input_shape
    return {
        "class_names": list(classifier.class_names),
        "input": {
            "shape": ["N", height, width, 3],
            "dtype": "uint8",
            "colours": "RGB",
            "fit": f"crop the centre to {width}:{height}, keep {look.crop_pct:g} of each side, scale to {width}x{height} with an "
            "antialiased bicubic filter (Pillow's ImageOps.fit)",
            "crop_pct": look.crop_pct,
        },
        "standardised_inside": {"scale": 1 / 255, "mean": list(look.mean), "std": list(look.std), "channels": channels},
        "output": {"shape": ["N", len(classifier.class_names)], "meaning": "logits; softmax gives probabilities"},
        "abstention_threshold": classifier.abstention_threshold,
        "architecture": classifier.architecture,
        "provenance": classifier.provenance,
    }
