"""*p-diff*: diffusion in the latent space of an autoencoder of stored networks, conditioned on text.

Papers: *Neural Network Diffusion* (p-diff, Wang et al., arXiv 2402.13144): an autoencoder of flattened parameters, and a
diffusion model of its latent vectors. *Text2Weight: Bridging Natural Language and Neural Network Weight Spaces* (T2W, Tian
et al., arXiv 2508.13633) conditions a diffusion transformer of parameter blocks on CLIP's text vectors. This peer is p-diff
with that one idea of T2W.

Kept: two phases of training, first the autoencoder, then the diffusion model on its frozen latent vectors; noise on the
autoencoder's inputs and on its latent vectors; training with the 1,000 timesteps of DDPM, linear betas; no loss but that
of the weights. So the peer itself sees no picture. Its base is the generic model, which was trained on pictures.

Simplified:

- The autoencoder is a perceptron instead of four one-dimensional convolutions, because neighbours in a flat vector of
  this size have little in common.
- p-diff has one latent vector for one fixed network. Here the shared tensors have one and each class row has one, as a
  network may have any number of classes.
- The denoiser is a deep set over task and classes instead of a convolution network (p-diff) or a transformer (T2W).
- T2W's prior attention, its adversarial training and its augmentation of weights are left out. All p-Models share one start,
  so permutations of hidden units do not occur.
- Networks are standardised differences from the base (`tina_peers.differences`) instead of raw weights, which helps it.
- The denoiser predicts the latent vector. p-diff predicts the noise, which is `prediction = epsilon` and was worse here.
- The latent vector of the shared tensors has 16 numbers and that of a row 8, because longer ones were worse here.
- Sampling takes 50 deterministic DDIM steps (arXiv 2010.02502) instead of the 1,000 of DDPM.

The p-Models of `cifar100-zoo` were trained with a learning rate of 0.1, so they differ from the generic model by much chance.
Weights of gently trained p-Models are learnt far better (docs/experiments/ablation.md).

Shapes: B tasks, K classes, E width of a conditioning vector, S shared parameters, R parameters of a class row, L and M
widths of their latent vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs, WeightBatch
from tina_peers.layers import SetNetwork, mlp, time_features
from tina_peers.method import PeerMethod
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["PDiff", "PDiffMethod", "PDiffSettings"]

TIMESTEPS = 1000
PREDICTIONS = ("epsilon", "sample")


@dataclass(frozen=True)
class PDiffSettings(PeerSettings):
    """Sizes of autoencoder and denoiser.

    Attributes:
        latent: L, width of the latent vector of the shared tensors.
        row_latent: M, width of the latent vector of a class row.
        coder: hidden width of the autoencoder.
        input_noise: standard deviation of the noise on the autoencoder's inputs.
        latent_noise: standard deviation of the noise on its latent vectors.
        hidden: width of the denoiser.
        depth: number of layers of the denoiser.
        prediction: what the denoiser predicts: ``epsilon`` (the noise) or ``sample`` (the latent vector).
        sampling_steps: number of DDIM steps.
        clip: greatest absolute value of a predicted latent vector's entry while sampling; they have standard deviation 1.
    """

    latent: int = 16
    row_latent: int = 8
    coder: int = 128
    input_noise: float = 0.001
    latent_noise: float = 0.1
    hidden: int = 192
    depth: int = 2
    prediction: str = "sample"
    sampling_steps: int = 50
    clip: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prediction not in PREDICTIONS:
            raise ConfigError(f"Setting prediction is '{self.prediction}'; choose one of {', '.join(PREDICTIONS)}.")
        if not self.clip:
            raise ConfigError("Setting clip is 0, so all networks would be alike; choose a number above 0, such as 3.")
        if not 1 <= self.sampling_steps <= TIMESTEPS:
            raise ConfigError(f"Setting sampling_steps is {self.sampling_steps}; choose from 1 to {TIMESTEPS}.")


class Autoencoder(nn.Module):
    """A perceptron from a vector to a latent vector, and one back.

    Latent vectors are standardised by the mean and the standard deviation of those of the zoo, entry by entry.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(width, hidden, latent), mlp(latent, hidden, width)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("std", torch.ones(latent))

    def reconstruction_loss(self, values: Tensor, input_noise: Tensor, latent_noise: Tensor) -> Tensor:
        """Return the mean squared error of what is decoded from noisy latent vectors of noisy inputs."""
        latent = self.encoder(values + input_noise)
        return F.mse_loss(self.decoder(latent + latent_noise), values)

    def fit_scale(self, values: Tensor) -> None:
        """Compute the mean and the standard deviation of the latent vectors of (n, width) values."""
        latents = self.encoder(values)
        self.mean.copy_(latents.mean(0))
        self.std.copy_(latents.std(0).clamp(min=1e-6))

    def encode(self, values: Tensor) -> Tensor:
        """Return standardised latent vectors."""
        standardised: Tensor = (self.encoder(values) - self.mean) / self.std
        return standardised

    def decode(self, latents: Tensor) -> Tensor:
        """Return the values of standardised latent vectors."""
        values: Tensor = self.decoder(latents * self.std + self.mean)
        return values


class PDiff(Peer):
    """An autoencoder of shared tensors, one of class rows, and a denoiser of their latent vectors."""

    name = "p-diff"
    paper = (
        "Wang et al., Neural Network Diffusion (p-diff), 2024 (arXiv 2402.13144); conditioned on text, an idea of Tian et al., "
        "Text2Weight: Bridging Natural Language and Neural Network Weight Spaces (T2W), 2025 (arXiv 2508.13633)"
    )
    differs = (
        "Perceptrons instead of convolutions; one latent vector for the shared tensors (16 numbers) and one for each class row "
        "(8); a deep set as the denoiser, which predicts the latent vector instead of the noise; 50 DDIM steps instead of 1,000 "
        "of DDPM; of T2W the text vectors alone, without its transformer, prior attention and adversarial training; differences "
        "from a base read off the text instead of raw weights. The zoo's p-Models were trained with a learning rate of 0.1 and "
        "are noisy; such methods do better on quieter ones"
    )
    tuning = (
        "Prediction of noise or of the latent vector, with latent vectors of 64 and 16 numbers (16 and 8 for a row), in "
        "4 short runs on 100 validation tasks; predicting short latent vectors was best"
    )
    settings_class = PDiffSettings
    recipe: ClassVar[Recipe] = Recipe(steps=2400, batch_size=32, lr=1e-3, objective="weights")
    phases = 2
    settings: PDiffSettings
    kept_T: Tensor

    def __init__(self, settings: PDiffSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__(settings, differences, space)
        self.shared_coder = Autoencoder(differences.shared, settings.coder, settings.latent)
        self.row_coder = Autoencoder(differences.row, settings.coder, settings.row_latent)
        width = settings.hidden
        self.denoiser = SetNetwork(
            settings.latent + width,
            settings.row_latent + space.dim,
            width,
            settings.latent,
            settings.row_latent,
            settings.depth,
        )
        # The share of the variance of x_t that is signal: the cumulative product of 1 - beta.
        betas = torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)
        self.register_buffer("kept_T", (1 - betas).cumprod(0).float())

    @torch.no_grad()
    def begin_phase(self, phase: int, p_models: Sequence[WeightBatch]) -> None:
        if phase == 1:
            self.shared_coder.fit_scale(torch.cat([batch.shared for batch in p_models]))
            self.row_coder.fit_scale(torch.cat([batch.rows.flatten(0, 1) for batch in p_models]))

    def weight_loss(self, batch: WeightBatch, phase: int) -> Tensor:
        settings, inputs, count = self.settings, batch.inputs, batch.inputs.num_classes
        shared, rows = settings.latent, settings.row_latent
        if phase == 0:
            return self.shared_coder.reconstruction_loss(
                batch.shared,
                settings.input_noise * inputs.gaussian(self.differences.shared),
                settings.latent_noise * inputs.gaussian(shared),
            ) + self.row_coder.reconstruction_loss(
                batch.rows,
                settings.input_noise * inputs.gaussian(count, self.differences.row),
                settings.latent_noise * inputs.gaussian(count, rows),
            )
        with torch.no_grad():
            clean = self.shared_coder.encode(batch.shared), self.row_coder.encode(batch.rows)
        noise = inputs.gaussian(shared), inputs.gaussian(count, rows)
        times_B = (inputs.uniform() * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)
        kept = self.kept_T[times_B]
        noisy = [_mix(kept, one, other) for one, other in zip(clean, noise, strict=True)]
        found = self._predict(noisy[0], noisy[1], times_B, inputs)
        wanted = noise if settings.prediction == "epsilon" else clean
        return F.mse_loss(found[0], wanted[0]) + F.mse_loss(found[1], wanted[1])

    def _predict(
        self, shared_BL: Tensor, rows_BKM: Tensor, times_B: Tensor, inputs: TaskInputs
    ) -> tuple[Tensor, Tensor]:
        time = time_features(times_B / TIMESTEPS, self.settings.hidden)
        found: tuple[Tensor, Tensor] = self.denoiser(
            torch.cat([shared_BL, time], dim=-1), torch.cat([rows_BKM, inputs.conditions], dim=-1)
        )
        return found

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        settings = self.settings
        state = inputs.gaussian(settings.latent), inputs.gaussian(inputs.num_classes, settings.row_latent)
        times = torch.linspace(TIMESTEPS - 1, 0, settings.sampling_steps + 1).round().long().tolist()[:-1]
        for place, time in enumerate(times):
            times_B = torch.full((len(inputs),), time, device=state[0].device)
            found = self._predict(*state, times_B, inputs)
            kept = self.kept_T[time]
            later = self.kept_T[times[place + 1]] if place + 1 < len(times) else torch.ones_like(kept)
            state = (
                self._ddim(state[0], found[0], kept, later),
                self._ddim(state[1], found[1], kept, later),
            )
        return self.shared_coder.decode(state[0]), self.row_coder.decode(state[1])

    def _ddim(self, noisy: Tensor, found: Tensor, kept: Tensor, later: Tensor) -> Tensor:
        """Take one deterministic DDIM step from signal share `kept` to `later`."""
        clean = found
        if self.settings.prediction == "epsilon":
            # Near pure noise this divides by almost zero, so errors are cut off.
            clean = (noisy - (1 - kept).sqrt() * found) / kept.sqrt()
        clean = clean.clamp(-self.settings.clip, self.settings.clip)
        noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        return later.sqrt() * clean + (1 - later).sqrt() * noise

    def describe(self) -> str:
        return f"{self.settings.sampling_steps} DDIM steps in a latent space of {self.settings.latent}"


class PDiffMethod(PeerMethod):
    """`PDiff` as a method of `tina evaluate`."""

    peer_class = PDiff


def _mix(kept_B: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Return x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise."""
    kept = kept_B.view(-1, *[1] * (clean.dim() - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise
