"""*five-pictures*: a hypernetwork that reads five training pictures of each class.

In the manner of Zhmoginov et al., *HyperTransformer: Model Generation for Supervised and Semi-Supervised Few-Shot Learning*,
arXiv 2201.04182. It sees pictures of the classes it writes a network for, so it is no text-to-weights method: compare it
with care. The hypernetwork reads no text. The names of the classes give the base from which the class rows differ, as with
all peers; with `text_rows` false they have no effect.

Kept from the paper:
- The weights of a small convolutional network are computed from a few labelled pictures, its support set.
- A feature extractor reads the pictures, and the features condition the weights of all layers, not only the last.
- Training through the loss on other pictures of the same classes, over many random tasks.

Simplified here:
- The transformer over pictures and weight slices is the equivariant hypernetwork of `tina_peers.equivariant`. Its class
  vector is the mean feature of the class's pictures (a prototype). Order of pictures and of classes do not matter, as in
  the paper.
- The feature extractor is the generic model, which is not trained further. It was trained on the same training pictures as
  the peer, of all classes. In the paper it is learnt with the rest, and the classes of the evaluation are new to it.
- The features of the input alone condition all layers. The paper also reads the activations of the layers written so far.
- The outputs are standardised differences from the generic model. Those of the rows are from rows that text predicts, or from
  the mean row with `text_rows` false.
- Training draws the pictures that it reads independently from those of the loss, so that single pictures are in both.

Shapes: B tasks, K classes, P pictures of a class, F features of a picture, S shared parameters, R parameters of a row.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.equivariant import EquivariantHypernetwork, EquivariantSettings
from tina_peers.inputs import TaskInputs
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import Recipe

__all__ = ["FivePictures", "FivePicturesMethod", "FivePicturesSettings", "GenericFeatures"]


@dataclass(frozen=True)
class FivePicturesSettings(EquivariantSettings):
    """Sizes of the equivariant hypernetwork, and where its class rows start.

    Attributes:
        text_rows: the rows are differences from those that text predicts, as with all other peers. Otherwise they are
            differences from the mean row of the generic model, and no text is read at all.
    """

    text_rows: bool = True


class GenericFeatures:
    """The features of pictures under the generic model: what its last layer reads.

    Args:
        spec: the parameters of the architecture.

    Attributes:
        width: F.
    """

    def __init__(self, spec: ParameterSpec) -> None:
        self.spec = spec
        self.network = copy.deepcopy(spec.template(2))
        owner = next(name for name, axis in spec.class_axes.items() if axis is not None).rpartition(".")[0]
        self.network.get_submodule(owner).register_forward_pre_hook(self._keep)
        self._kept: Tensor = torch.empty(0)
        # On the CPU, because a peer is loaded under the meta device, where the forward pass may not run.
        with torch.device("cpu"):
            nothing = torch.zeros(spec.num_parameters(2)), torch.zeros(1, *spec.architecture.network_input)
            self.width = self.of(*nothing).shape[1]

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._kept = inputs[0]

    @torch.no_grad()
    def of(self, flat_N: Tensor, pictures: Tensor) -> Tensor:
        """Return features (M, F).

        Args:
            flat_N: the generic model with any two class rows.
            pictures: (M, C, H, W).
        """
        functional_call(self.network, self.spec.unflatten(flat_N, 2), (pictures,))
        # A layer with positions, such as a convolution that writes the logits, is read by its mean over them.
        return self._kept.flatten(2).mean(2) if self._kept.dim() > 2 else self._kept


class FivePictures(Peer):
    """Writes the network from the mean features of five pictures of each class."""

    name = "five-pictures"
    paper = (
        "In the manner of Zhmoginov et al., HyperTransformer: Model Generation for Supervised and Semi-Supervised Few-Shot "
        "Learning, 2022 (arXiv 2201.04182)"
    )
    differs = (
        "Reads five training pictures of each class; an equivariant hypernetwork over mean features of the generic model "
        "instead of a transformer over pictures and weights; the generic model was trained on the same pictures; the rows are "
        "differences from those that text predicts, so it reads class names as well"
    )
    tuning = (
        "Three settings: learning rates 1e-3 and 3e-3, and rows without text; "
        "100 validation tasks, validation images, one seed, short runs"
    )
    settings_class = FivePicturesSettings
    recipe = Recipe(steps=800, lr=1e-3)
    shots = 5
    settings: FivePicturesSettings

    def __init__(self, settings: FivePicturesSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        self.features = GenericFeatures(differences.spec)
        sizes = [info.numel for info in differences.shared_tensors]
        self.standardise = nn.BatchNorm1d(self.features.width, momentum=None, affine=False)
        self.hypernetwork = EquivariantHypernetwork(self.features.width, sizes, differences.row, settings)

    def prototypes(self, pictures: Tensor) -> Tensor:
        """Return the mean feature of each class (B, K, F), with mean 0 and variance 1 over the classes of training.

        Args:
            pictures: (B, K, P, C, H, W).
        """
        differences, lead = self.differences, pictures.shape[:3]
        rows = differences.row_mean_R.expand(1, 2, -1)
        generic = differences.join(differences.base_S[None], rows)[0]
        means = self.features.of(generic, pictures.flatten(0, 2).float()).unflatten(0, lead).mean(dim=2)
        prototypes: Tensor = self.standardise(means.flatten(0, 1)).view_as(means)
        return prototypes

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        assert inputs.pictures is not None
        shared, rows = self.hypernetwork(self.prototypes(inputs.pictures))
        return shared, rows

    def networks(self, inputs: TaskInputs) -> Tensor:
        shared, rows = self.generate(inputs)
        # Conditions of zero give the mean row.
        base = inputs.conditions if self.settings.text_rows else torch.zeros_like(inputs.conditions)
        return self.differences.networks(shared, rows, base)

    def describe(self) -> str:
        text = "class names for the base rows" if self.settings.text_rows else "no text"
        return f"{self.shots} training pictures of each class, {text}; width {self.settings.hidden}"


class FivePicturesMethod(PeerMethod):
    """`FivePictures` as a method of `tina evaluate`."""

    # The column `prompt` of `tina bench` measures the effect of text on the shared tensors, and here it has none.
    reads_text = False
    peer_class = FivePictures
