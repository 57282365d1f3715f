"""*t2m-hn*: an equivariant hypernetwork, trained through the loss of the networks that it writes.

Amosy et al., *Text2Model: Text-based Model Induction for Zero-shot Image Classification*, arXiv 2210.15182.

Kept from the paper:
- The hypernetwork reads the set of class descriptions. Its layers are permutation-equivariant (figure 3b): one linear map
  transforms each class, another transforms the pooled classes, and the result is added to every class.
- One head for each layer of the target network. Heads of layers that all classes share are invariant. The head of the last
  layer is equivariant, so the rows are permuted with the classes.
- Training through the loss of the written network, on pictures of random tasks.

Simplified here:
- A description is the vector of a class name from the encoder under evaluation. The paper also reads long texts and
  descriptions with negations, and is after classes that training never met.
- The outputs are standardised differences from the generic model. In the paper they are the whole network.
- Classes are pooled by their mean, not their sum, so that one hypernetwork serves several class counts.
- The layers have LayerNorm and a residual connection, because training on a CPU has to be short.

Shapes: B tasks, K classes, E width of a conditioning vector, H hidden width, S shared parameters, R parameters of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs
from tina_peers.layers import mlp
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["T2MHN", "EquivariantHypernetwork", "EquivariantLayer", "EquivariantSettings", "T2MHNMethod"]


@dataclass(frozen=True)
class EquivariantSettings(PeerSettings):
    """Sizes of the equivariant hypernetwork.

    Attributes:
        hidden: H.
        depth: number of equivariant layers before the heads.
    """

    hidden: int = 256
    depth: int = 3


class EquivariantLayer(nn.Module):
    """y_k = A x_k + C mean_j(x_j) + c, the general linear map that commutes with permutations (pooled by the mean)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.each = nn.Linear(inputs, outputs)
        self.pooled = nn.Linear(inputs, outputs, bias=False)

    def forward(self, values_BKE: Tensor) -> Tensor:
        mixed: Tensor = self.each(values_BKE) + self.pooled(values_BKE.mean(dim=1, keepdim=True))
        return mixed


class EquivariantHypernetwork(nn.Module):
    """Reads a set of class vectors, and writes the differences of one network.

    Args:
        inputs: width of a class vector.
        shared_sizes: number of elements of each shared tensor.
        row_size: R.
        settings: sizes.
    """

    def __init__(self, inputs: int, shared_sizes: Sequence[int], row_size: int, settings: EquivariantSettings) -> None:
        super().__init__()
        width, number = settings.hidden, settings.depth
        self.first = EquivariantLayer(inputs, width)
        self.layers = nn.ModuleList(EquivariantLayer(width, width) for _ in range(number - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(number))
        heads = [mlp(width, width, size) for size in shared_sizes]
        self.invariant = nn.ModuleList(heads)
        self.row = EquivariantLayer(width, row_size)
        # Zero is the base network, where training starts.
        for last in (*(head[-1] for head in heads), self.row.each, self.row.pooled):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, classes_BKE: Tensor) -> tuple[Tensor, Tensor]:
        """Return shared numbers (B, S), which do not depend on the order of the classes, and class rows (B, K, R)."""
        hidden = self.first(classes_BKE)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            hidden = hidden + layer(F.gelu(norm(hidden)))
        hidden = F.gelu(self.norms[-1](hidden))
        pooled = hidden.mean(dim=1)
        return torch.cat([head(pooled) for head in self.invariant], dim=1), self.row(hidden)


class T2MHN(Peer):
    """Writes the network from the vectors of the class names with an `EquivariantHypernetwork`."""

    name = "t2m-hn"
    paper = (
        "Amosy et al., Text2Model: Text-based Model Induction for Zero-shot Image Classification (T2M-HN), 2022 "
        "(arXiv 2210.15182)"
    )
    differs = (
        "Class names instead of long descriptions; differences from the generic model instead of a whole network; "
        "classes pooled by their mean; LayerNorm and residual connections"
    )
    tuning = (
        "Three settings: learning rates 1e-3 and 3e-3, and twice the steps with half the images; "
        "100 validation tasks, validation images, one seed, short runs"
    )
    settings_class = EquivariantSettings
    recipe = Recipe(steps=1600, images_per_task=96, lr=3e-3)
    settings: EquivariantSettings

    def __init__(self, settings: EquivariantSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        sizes = [info.numel for info in differences.shared_tensors]
        self.hypernetwork = EquivariantHypernetwork(space.dim, sizes, differences.row, settings)

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        shared, rows = self.hypernetwork(inputs.conditions)
        return shared, rows

    def describe(self) -> str:
        return f"{self.settings.depth} equivariant layers of width {self.settings.hidden}"


class T2MHNMethod(PeerMethod):
    """`T2MHN` as a method of `tina evaluate`."""

    peer_class = T2MHN
