"""*per-layer*: a hypernetwork that writes the target network layer by layer, in the manner of text-to-LoRA.

Charakorn et al., *Text-to-LoRA: Instant Transformer Adaption*, arXiv 2506.06105.

Kept from the paper:
- One perceptron with residual blocks serves all layers. It reads the embedding of the task beside a learnt embedding of the
  layer that it writes for (in the paper: of the kind of module and of its depth). It writes the difference of that layer
  from a trained network.
- Differences of matrices have low rank: D = B A. B starts at zero, so training starts from the trained network. A
  convolution counts as a matrix from all inputs of its kernel to its output channels.
- Training through the loss of the adapted network. The paper finds this better than reconstructing adapters that were
  trained one by one.

Simplified here:
- The embedding of the task is the mean of the vectors of its class names. The paper embeds a sentence about the task.
- The layers have different shapes, so each has an output head of its own.
- The paper adapts a network whose outputs are fixed. Here each class needs a row of the last layer. The same perceptron
  writes it. Beside the embedding of the task it then reads the class's own vector, through a linear map.
- Tensors with one axis, such as biases, get a full difference.

Shapes: B tasks, K classes, E width of a conditioning vector, H hidden width, L shared tensors, R parameters of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["LowRankHead", "PerLayer", "PerLayerMethod", "PerLayerSettings"]


@dataclass(frozen=True)
class PerLayerSettings(PeerSettings):
    """Sizes of the hypernetwork.

    Attributes:
        hidden: H.
        depth: number of residual blocks.
        rank: rank of the differences of matrices.
    """

    hidden: int = 256
    depth: int = 2
    rank: int = 8


class LowRankHead(nn.Module):
    """Writes the difference of one tensor as a product of two matrices, or in full where that takes no more numbers.

    Args:
        inputs: H.
        shape: shape of the tensor. The first axis is that of the outputs; the others count as one.
        rank: rank of the product.
    """

    def __init__(self, inputs: int, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.outputs, self.inputs, self.rank = shape[0], math.prod(shape[1:]), rank
        is_full = rank * (self.outputs + self.inputs) >= self.outputs * self.inputs
        self.left = nn.Linear(inputs, self.outputs * (self.inputs if is_full else rank))
        nn.init.zeros_(self.left.weight)
        nn.init.zeros_(self.left.bias)
        self.right = None if is_full else nn.Linear(inputs, rank * self.inputs)
        if self.right is not None:
            # A must not be zero, or B would get no gradient. Entries of size one suit standardised differences.
            nn.init.normal_(self.right.bias)

    def forward(self, hidden_BH: Tensor) -> Tensor:
        """Return the differences (B, number of elements)."""
        left: Tensor = self.left(hidden_BH)
        if self.right is None:
            return left
        right = self.right(hidden_BH).unflatten(1, (self.rank, self.inputs))
        product: Tensor = left.unflatten(1, (self.outputs, self.rank)) @ right
        return product.flatten(1) / math.sqrt(self.rank)


class _Block(nn.Module):
    """A residual block of the perceptron."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        updated: Tensor = hidden + self.outer(F.silu(self.inner(self.norm(hidden))))
        return updated


class PerLayer(Peer):
    """Writes each layer by itself, from the embedding of the task and that of the layer."""

    name = "per-layer"
    paper = "In the manner of Charakorn et al., Text-to-LoRA: Instant Transformer Adaption, 2025 (arXiv 2506.06105)"
    differs = (
        "The mean of the class names instead of a sentence about the task; a head for each layer; the perceptron also "
        "writes a row for each class, from the class's own vector"
    )
    tuning = (
        "Three settings: learning rates 1e-3 and 3e-3, and twice the steps with half the images; "
        "100 validation tasks, validation images, one seed, short runs"
    )
    settings_class = PerLayerSettings
    recipe = Recipe(steps=1600, images_per_task=96, lr=3e-3)
    settings: PerLayerSettings

    def __init__(self, settings: PerLayerSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        width, shapes = settings.hidden, [info.shape for info in differences.shared_tensors]
        self.task = nn.Linear(space.dim, width)
        self.class_itself = nn.Linear(space.dim, width)
        # The last position is that of the rows.
        self.position = nn.Parameter(torch.randn(len(shapes) + 1, width))
        self.joined = nn.Linear(2 * width, width)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(settings.depth)), nn.LayerNorm(width))
        self.heads = nn.ModuleList(LowRankHead(width, shape, settings.rank) for shape in shapes)
        self.row = LowRankHead(width, (differences.row,), settings.rank)

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        conditions_BKE, number = inputs.conditions, len(self.heads)
        task_B1H = self.task(conditions_BKE.mean(dim=1, keepdim=True))
        layers_BLH = self.position[:number].expand(len(conditions_BKE), -1, -1)
        rows_BKH = self.class_itself(conditions_BKE) + self.position[number]
        places = torch.cat([layers_BLH, rows_BKH], dim=1)
        hidden = self.blocks(self.joined(torch.cat([task_B1H.expand_as(places), places], dim=2)))
        shared = torch.cat([head(hidden[:, place]) for place, head in enumerate(self.heads)], dim=1)
        rows = self.row(hidden[:, number:].flatten(0, 1)).unflatten(0, conditions_BKE.shape[:2])
        return shared, rows

    def describe(self) -> str:
        settings = self.settings
        return f"{settings.depth} residual blocks of width {settings.hidden}, rank {settings.rank}"


class PerLayerMethod(PeerMethod):
    """`PerLayer` as a method of `tina evaluate`."""

    peer_class = PerLayer
