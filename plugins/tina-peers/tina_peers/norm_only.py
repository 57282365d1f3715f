"""*norm-only*: the generic model's weights stay, and text writes scales of its channels, its shifts and the class rows.

Papers: FiLM (Perez et al., arXiv 1709.07871), which modulates every channel of a network by a scale and a shift; CNAPs
(Requeima et al., arXiv 1906.07697), which lets a network over the set of classes write FiLM parameters and the rows of a
linear classifier for a new task, on a fixed extractor; p-diff (arXiv 2402.13144), which also generates the normalisation
layers alone.

Kept: a deep set over the classes, FiLM of every layer, one classifier row for each class, training through the task loss
of the modulated network, on tasks drawn at random.

Simplified:

- The classes are given by text instead of example pictures, so there is no network that encodes pictures.
- The target networks have no normalisation layers. A scale is multiplied into the weights of its output channel, which
  is exactly FiLM before the nonlinearity. A shift needs a bias: layers without one are only scaled. `cnn-2layer` has no
  biases besides those of the class rows, so there it is scales alone.
- With `scale_inputs`, each input channel of a layer is scaled as well, which FiLM does in front of the layer.
- The generic model has been trained on all classes, and is not trained any further here.

Shapes: B tasks, K classes, E width of a conditioning vector, S shared parameters, R parameters of a class row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs
from tina_peers.layers import SetNetwork
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["NormOnly", "NormOnlyMethod", "NormOnlySettings"]


@dataclass(frozen=True)
class NormOnlySettings(PeerSettings):
    """Sizes of the hypernetwork.

    Attributes:
        hidden: width.
        depth: number of layers.
        scale_inputs: also scale the input channels of each layer.
        strength: how much an output of 1 changes a channel, relative to the channel, or a bias, in standard deviations.
        row_strength: how much an output of 1 changes a parameter of a class row, in standard deviations.
    """

    hidden: int = 256
    depth: int = 2
    scale_inputs: bool = False
    strength: float = 0.3
    row_strength: float = 1.0


class NormOnly(Peer):
    """Writes exp(scale) for each output channel (and input channel), shifts for biases, and differences of class rows."""

    name = "norm-only"
    paper = (
        "Requeima et al., Fast and Flexible Multi-Task Classification Using Conditional Neural Adaptive Processes (CNAPs), "
        "2019 (arXiv 1906.07697); Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, 2017 "
        "(arXiv 1709.07871)"
    )
    differs = (
        "Text instead of example pictures; scales are folded into the weights, and shifts exist only where a "
        "layer has a bias; class rows are differences from a base read off the text"
    )
    tuning = (
        "Learning rate, scales of input channels and strength of the rows, in 4 short runs on 100 validation tasks; "
        "their differences were within the error, so the settings nearest to the paper were kept"
    )
    settings_class = NormOnlySettings
    whitens = False  # it writes scales of channels
    recipe: ClassVar[Recipe] = Recipe(steps=3000, lr=1e-3, objective="task")
    settings: NormOnlySettings

    def __init__(self, settings: NormOnlySettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        # For each tensor that all classes share: its outputs, and its inputs if they are scaled.
        self.sizes: list[tuple[int, int]] = []
        for info in differences.shared_tensors:
            inputs = info.shape[1] if len(info.shape) > 1 and settings.scale_inputs else 0
            self.sizes.append((info.shape[0], inputs))
        numbers = sum(outputs + inputs for outputs, inputs in self.sizes)
        self.hypernetwork = SetNetwork(0, space.dim, settings.hidden, numbers, differences.row, settings.depth)

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        written_BX, rows_BKR = self.hypernetwork(None, inputs.conditions)
        written = iter(
            (self.settings.strength * written_BX).split([n for size in self.sizes for n in size if n], dim=1)
        )
        numbers = [info.numel for info in self.differences.shared_tensors]
        base, scales = self.differences.base_S.split(numbers), self.differences.scale_S.split(numbers)
        parts = []
        for info, tensor, scale, (_, scaled_inputs) in zip(
            self.differences.shared_tensors, base, scales, self.sizes, strict=True
        ):
            outputs = next(written)
            if len(info.shape) == 1:  # a bias: FiLM's shift, in units of the tensor's spread among p-Models
                parts.append(tensor + scale * outputs)
                continue
            factor = outputs.exp().reshape(len(outputs), -1, *[1] * (len(info.shape) - 1))
            if scaled_inputs:
                factor = factor * next(written).exp().reshape(len(outputs), 1, -1, *[1] * (len(info.shape) - 2))
            parts.append((factor * tensor.view(info.shape)).flatten(1))
        shared_BS = torch.cat(parts, dim=1)
        # Networks are written as standardised differences by all peers.
        return (shared_BS - self.differences.base_S) / self.differences.scale_S, self.settings.row_strength * rows_BKR

    def describe(self) -> str:
        what = "output and input channels" if self.settings.scale_inputs else "output channels"
        return f"scales of {what} and class rows from text"


class NormOnlyMethod(PeerMethod):
    """`NormOnly` as a method of `tina evaluate`."""

    peer_class = NormOnly
