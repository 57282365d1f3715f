"""*ghn-decoder*: the decoder of a graph hypernetwork, without the graph.

Zhang et al., *Graph HyperNetworks for Neural Architecture Search*, arXiv 1810.05749 (GHN); Knyazev et al., *Parameter
Prediction for Unseen Deep Architectures*, arXiv 2110.13100 (GHN-2).

Kept from the papers:
- One decoder serves all parameter tensors. It reads the embedding of a tensor's node, and writes a tile as large as the
  largest tensor along every axis. The tile is cut to size: the first output and input channels, the middle of the kernel.
- As in GHN-2, the decoder is a perceptron that gives every position of the kernel a vector, followed by layers that all
  positions share (1x1 convolutions).
- Training through the loss of the network that was written.

Simplified here:
- There is no graph network. It tells a node about the architecture around it, and the architecture is fixed here. So the
  embeddings of the nodes are learnt directly.
- The papers write networks for one data set. Here the embedding of the task, the mean of the vectors of the class names,
  modulates each node: a scale and a shift. A tensor with class rows has one node for each class, which the class's own
  vector modulates as well.
- The papers write the last layer with a decoder of its own; here the same decoder writes it.
- The outputs are standardised differences from the generic model, so GHN-2's normalisation of its outputs is left out.
- No tile is repeated, because it is made as large as the one architecture needs.

Shapes: B tasks, K classes, E width of a conditioning vector, H hidden width, C tensors with class rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.interfaces.spec import ParameterInfo
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs
from tina_peers.layers import mlp
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["GHNDecoder", "GHNDecoderMethod", "GHNSettings", "TileDecoder", "tile_shape"]

TileShape = tuple[int, int, int, int]


@dataclass(frozen=True)
class GHNSettings(PeerSettings):
    """Sizes of the decoder.

    Attributes:
        hidden: H.
        channels: width of the vector that each position of the kernel gets.
    """

    hidden: int = 256
    channels: int = 64


def tile_shape(shape: Sequence[int]) -> TileShape:
    """Return a shape as output channels, input channels, height and width; missing axes have length 1."""
    outputs, inputs, height, width = (*shape, 1, 1, 1, 1)[:4]
    return outputs, inputs, height, width * math.prod(shape[4:])


def _row_shape(info: ParameterInfo) -> TileShape:
    axis = info.class_axis
    assert axis is not None
    return tile_shape(info.shape[:axis] + info.shape[axis + 1 :])


class TileDecoder(nn.Module):
    """Turns the embedding of a node into a tensor of the node's shape.

    Args:
        shapes: the shapes of all nodes. The tile is as large as the largest of them, axis by axis.
        settings: sizes.
    """

    def __init__(self, shapes: Sequence[TileShape], settings: GHNSettings) -> None:
        super().__init__()
        self.outputs, self.inputs, self.height, self.width = (max(sizes) for sizes in zip(*shapes, strict=True))
        self.channels, positions = settings.channels, self.height * self.width
        self.perceptron = mlp(settings.hidden, settings.hidden, self.channels * positions)
        self.inner = nn.Linear(self.channels, 2 * self.channels)
        self.outer = nn.Linear(2 * self.channels, self.outputs * self.inputs)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, nodes_NH: Tensor, shape: TileShape) -> Tensor:
        """Return what is written for N nodes of one shape: (N, number of elements), in C order."""
        outputs, inputs, height, width = shape
        vectors = self.perceptron(nodes_NH).view(-1, self.height, self.width, self.channels)
        # The cut comes before the layers that all positions share. It gives the same numbers, and a whole tile for every
        # class would cost more than all other layers.
        top, left = (self.height - height) // 2, (self.width - width) // 2
        vectors = F.gelu(self.inner(F.gelu(vectors[:, top : top + height, left : left + width])))
        weight = self.outer.weight.unflatten(0, (self.outputs, self.inputs))[:outputs, :inputs].flatten(0, 1)
        bias = self.outer.bias.unflatten(0, (self.outputs, self.inputs))[:outputs, :inputs].flatten()
        tile = F.linear(vectors, weight, bias).unflatten(-1, (outputs, inputs))
        in_order: Tensor = tile.permute(0, 3, 4, 1, 2).flatten(1)
        return in_order


class _Modulation(nn.Module):
    """node * (1 + scale(condition)) + shift(condition)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.perceptron = mlp(inputs, width, 2 * width)

    def forward(self, nodes: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.perceptron(condition).chunk(2, dim=-1)
        modulated: Tensor = nodes * (1 + scale) + shift
        return modulated


class GHNDecoder(Peer):
    """Writes every tensor with one decoder, from a learnt node that the class names modulate."""

    name = "ghn-decoder"
    paper = (
        "Zhang et al., Graph HyperNetworks for Neural Architecture Search (GHN), 2018 (arXiv 1810.05749); Knyazev et al., "
        "Parameter Prediction for Unseen Deep Architectures (GHN-2), 2021 (arXiv 2110.13100)"
    )
    differs = (
        "No graph network, because the architecture is fixed: learnt nodes, modulated by the class names; the decoder of "
        "all tensors also writes the class rows; differences from the generic model"
    )
    tuning = "Two settings: learning rates 1e-3 and 3e-3; 100 validation tasks, validation images, one seed, short runs"
    settings_class = GHNSettings
    recipe = Recipe(steps=800, lr=1e-3)
    settings: GHNSettings

    def __init__(self, settings: GHNSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        rows = [info for info in differences.spec.parameters(2) if info.class_axis is not None]
        self.shapes = [tile_shape(info.shape) for info in differences.shared_tensors]
        self.row_shapes = [_row_shape(info) for info in rows]
        self.nodes = nn.Parameter(torch.randn(len(self.shapes) + len(rows), settings.hidden))
        self.task = _Modulation(space.dim, settings.hidden)
        self.class_itself = _Modulation(space.dim, settings.hidden)
        self.decoder = TileDecoder([*self.shapes, *self.row_shapes], settings)

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        conditions_BKE, number = inputs.conditions, len(self.shapes)
        nodes = self.task(self.nodes, conditions_BKE.mean(dim=1, keepdim=True))
        rows_BKCH = self.class_itself(nodes[:, None, number:], conditions_BKE[:, :, None])
        shared = [self.decoder(nodes[:, i], shape) for i, shape in enumerate(self.shapes)]
        rows = [self.decoder(rows_BKCH[:, :, i].flatten(0, 1), shape) for i, shape in enumerate(self.row_shapes)]
        return torch.cat(shared, dim=1), torch.cat(rows, dim=1).unflatten(0, conditions_BKE.shape[:2])

    def describe(self) -> str:
        decoder = self.decoder
        tile = f"{decoder.outputs}x{decoder.inputs}x{decoder.height}x{decoder.width}"
        return f"nodes of width {self.settings.hidden}, tiles of {tile}"


class GHNDecoderMethod(PeerMethod):
    """`GHNDecoder` as a method of `tina evaluate`."""

    peer_class = GHNDecoder
