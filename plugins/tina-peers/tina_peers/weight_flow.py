"""*weight-flow*: flow matching on stored networks along straight paths, conditioned on text.

Paper: *DeepWeightFlow: Re-Basined Flow Matching for Generating Neural Network Weights* (Gupta et al., arXiv 2601.05052): a
perceptron learns the velocity of straight paths from Gaussian noise to the flattened weights of trained networks; long weight
vectors are reduced by principal components first, and networks are aligned by re-basin where hidden units are permuted.

Kept: conditional flow matching (arXiv 2210.02747) with x_t = (1 - t) noise + t weights and the loss |v - (weights -
noise)|^2; a perceptron with features of the time; principal components (with `components` = 0 the flow works on all
weights); no loss but that of the weights. So the peer itself sees no picture. Its base is the generic model, which was
trained on pictures.

Simplified:

- Re-basin is left out. All p-Models are fine-tuned from one generic model, so their hidden units agree already.
- The paper's flow is not conditioned on text. Here the velocity reads the text vectors of the task's classes.
- The perceptron is applied to the shared tensors and to each class row, and these exchange their state (deep sets), so
  that a network may have any number of classes.
- Networks are standardised differences from the base (`tina_peers.differences`) instead of raw weights, which helps it.
- The noise where paths start has the spread of the weights themselves, which have standard deviation 1 here. The paper's has
  0.01. `noise` is this setting.
- Sampling takes 50 Euler steps. The paper integrates with the Runge-Kutta method of fourth order at 100 points.
- The perceptron has no dropout, and training has fewer iterations.

The p-Models of `cifar100-zoo` were trained with a learning rate of 0.1, so they differ from the generic model by much chance.
Weights of gently trained p-Models are learnt far better (docs/experiments/ablation.md).

Shapes: B tasks, K classes, S shared parameters, R parameters of a class row, P principal components (S without them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs, WeightBatch
from tina_peers.layers import SetNetwork, time_features
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["WeightFlow", "WeightFlowMethod", "WeightFlowSettings"]


@dataclass(frozen=True)
class WeightFlowSettings(PeerSettings):
    """Sizes of the velocity network.

    Attributes:
        components: P, number of principal components of the shared tensors; 0: all weights.
        hidden: width.
        depth: number of layers.
        noise: standard deviation of the Gaussian noise where paths start; the standardised weights have 1.
        sampling_steps: number of Euler steps.
    """

    components: int = 64
    hidden: int = 256
    depth: int = 2
    noise: float = 1.0
    sampling_steps: int = 50

    may_be_zero: ClassVar[tuple[str, ...]] = ("components",)


class WeightFlow(Peer):
    """A velocity network over the shared tensors (as principal components) and the class rows."""

    name = "weight-flow"
    paper = "Gupta et al., DeepWeightFlow: Re-Basined Flow Matching for Generating Neural Network Weights, 2026 (arXiv 2601.05052)"
    differs = (
        "Conditioned on text; no re-basin, because all p-Models share one start; the perceptron is shared among class rows and "
        "has no dropout; paths start from noise of the weights' own spread instead of 0.01; 50 Euler steps instead of 100 "
        "Runge-Kutta points; fewer iterations; differences from a base read off the text instead of raw weights. The zoo's "
        "p-Models were trained with a learning rate of 0.1 and are noisy; such methods do better on quieter ones"
    )
    tuning = (
        "Number of principal components (16, 64, all weights) and noise on the text vectors, in 4 short runs on "
        "100 validation tasks; 64 components were best"
    )
    settings_class = WeightFlowSettings
    recipe: ClassVar[Recipe] = Recipe(steps=30000, batch_size=32, lr=1e-3, objective="weights")
    settings: WeightFlowSettings
    mean_S: Tensor
    basis_PS: Tensor

    def __init__(self, settings: WeightFlowSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        self.width = settings.components or differences.shared
        self.velocity = SetNetwork(
            self.width + settings.hidden,
            differences.row + space.dim,
            settings.hidden,
            self.width,
            differences.row,
            settings.depth,
        )
        self.register_buffer("mean_S", torch.zeros(differences.shared))
        # Rows are the principal directions times the standard deviation along them, so that all coordinates have 1.
        self.register_buffer("basis_PS", torch.zeros(settings.components, differences.shared))

    @torch.no_grad()
    def begin_phase(self, phase: int, p_models: Sequence[WeightBatch]) -> None:
        count = self.settings.components
        shared_MS = torch.cat([batch.shared for batch in p_models])
        if count >= len(shared_MS):
            raise ConfigError(
                f"Setting components is {count}, but {len(shared_MS)} p-Models have fewer principal components; lower it."
            )
        if count:
            self.mean_S.copy_(shared_MS.mean(0))
            _, lengths, directions = torch.linalg.svd(shared_MS - self.mean_S, full_matrices=False)
            spread = (lengths[:count] / len(shared_MS) ** 0.5).clamp(min=1e-6)
            self.basis_PS.copy_(spread[:, None] * directions[:count])

    def _reduce(self, shared_BS: Tensor) -> Tensor:
        if not self.settings.components:
            return shared_BS
        return (shared_BS - self.mean_S) @ (self.basis_PS / self.basis_PS.square().sum(1, keepdim=True)).T

    def _expand(self, state_BP: Tensor) -> Tensor:
        return state_BP if not self.settings.components else self.mean_S + state_BP @ self.basis_PS

    def _flow(self, shared_BP: Tensor, rows_BKR: Tensor, times_B: Tensor, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        """Return the velocity of both parts at times from 0 (noise) to 1 (weights)."""
        time = time_features(times_B, self.settings.hidden)
        found: tuple[Tensor, Tensor] = self.velocity(
            torch.cat([shared_BP, time], dim=-1), torch.cat([rows_BKR, inputs.conditions], dim=-1)
        )
        return found

    def _noise(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        rows = inputs.gaussian(inputs.num_classes, self.differences.row)
        return self.settings.noise * inputs.gaussian(self.width), self.settings.noise * rows

    def weight_loss(self, batch: WeightBatch, phase: int) -> Tensor:
        clean = self._reduce(batch.shared), batch.rows
        noise = self._noise(batch.inputs)
        times_B = batch.inputs.uniform()
        shared = torch.lerp(noise[0], clean[0], times_B[:, None])
        rows = torch.lerp(noise[1], clean[1], times_B[:, None, None])
        found = self._flow(shared, rows, times_B, batch.inputs)
        return F.mse_loss(found[0], clean[0] - noise[0]) + F.mse_loss(found[1], clean[1] - noise[1])

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        shared, rows = self._noise(inputs)
        steps = self.settings.sampling_steps
        for step in range(steps):
            times_B = torch.full((len(inputs),), step / steps, device=shared.device)
            found = self._flow(shared, rows, times_B, inputs)
            shared, rows = shared + found[0] / steps, rows + found[1] / steps
        return self._expand(shared), rows

    def describe(self) -> str:
        reduced = f"{self.settings.components} principal components" if self.settings.components else "all weights"
        return f"{self.settings.sampling_steps} Euler steps on {reduced}"


class WeightFlowMethod(PeerMethod):
    """`WeightFlow` as a method of `tina evaluate`."""

    peer_class = WeightFlow
