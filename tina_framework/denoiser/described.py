"""Tokens that are described by numbers instead of having a learnt position: projections and a forecast for any architecture.

Shapes: B batch, P tokens, D token width, H hidden, A descriptor size, F features of a class set, M middle.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.denoiser.blocks import init_linear
from tina_framework.denoiser.embeddings import LayoutIndex
from tina_framework.denoiser.forecast import num_features, set_features

__all__ = ["DescribedForecast", "DescribedLinear", "DescribedProjection", "keeps_full_precision"]


def keeps_full_precision(name: str) -> bool:
    """Return whether a parameter of a denoiser stays in float32 when the others are read in half precision.

    These are the projections of `WaveFeatures`. Rounded to bfloat16, they would change the waves by 5 %.
    """
    return re.search(r"\b(waves|weights)\.projection\.", name) is not None


class WaveFeatures(nn.Module):
    """Sines of random projections of a descriptor (random Fourier features, Rahimi & Recht 2007), which are then trained.

    Tokens with different descriptors get nearly orthogonal features, so they learn independently of each other. Tokens with
    similar descriptors share what they learn, and a token unlike all that were trained gets almost nothing of it.

    Args:
        descriptor_size: A.
        num_features: M.
    """

    def __init__(self, descriptor_size: int, num_features: int) -> None:
        super().__init__()
        self.projection = nn.Linear(descriptor_size, num_features)

    def reset_parameters(self) -> None:
        """Draw directions and phases."""
        nn.init.normal_(self.projection.weight)
        nn.init.uniform_(self.projection.bias, -math.pi, math.pi)

    def forward(self, descriptors_PA: Tensor) -> Tensor:
        """(P, A) -> (P, M), of unit mean square. They are computed in float32, because half precision would move the phases."""
        weight, bias = self.projection.weight, self.projection.bias
        with torch.autocast(descriptors_PA.device.type, enabled=False):
            return math.sqrt(2.0) * torch.sin(F.linear(descriptors_PA.float(), weight.float(), bias.float()))


class DescribedLinear(nn.Module):
    """A linear map for each token, which its descriptor chooses: W (u(descriptor) * (V x + v)).

    V and v make M mixtures of the input, u(descriptor) weighs them for a token, and W maps them to its elements. W starts at zero, so
    the first output is zero.

    Args:
        in_features: number of elements of x.
        descriptor_size: A.
        width: M.
        out_features: number of elements of the output.
    """

    def __init__(self, in_features: int, descriptor_size: int, width: int, out_features: int) -> None:
        super().__init__()
        self.weights = WaveFeatures(descriptor_size, width)
        self.mixtures = nn.Linear(in_features, width)
        self.elements = nn.Linear(width, out_features, bias=False)

    def reset_parameters(self) -> None:
        """Draw u, V and v, and set W to zero."""
        self.weights.reset_parameters()
        nn.init.normal_(self.mixtures.weight, std=self.mixtures.in_features**-0.5)
        nn.init.normal_(self.mixtures.bias, std=self.mixtures.in_features**-0.5)
        nn.init.zeros_(self.elements.weight)

    def mix(self, inputs: Tensor) -> Tensor:
        """Compute V x + v: (..., in_features) -> (..., M). It is the same for all tokens."""
        mixed: Tensor = self.mixtures(inputs)
        return mixed

    def forward(self, mixed_BPM: Tensor, descriptors_PA: Tensor) -> Tensor:
        """Compute the output from what `mix` returned.

        Args:
            mixed_BPM: (B, P, M), or (B, 1, M) if all tokens have one input.
            descriptors_PA: (P, A).

        Returns:
            (B, P, out_features).
        """
        tokens: Tensor = self.elements(mixed_BPM * self.weights(descriptors_PA).to(mixed_BPM.dtype))
        return tokens


class DescribedProjection(nn.Module):
    """Maps tokens into H and out of it. The descriptor of a token stands for its position, and chooses both maps.

    The map out of H starts at zero, so that an untrained denoiser returns exactly zero.

    Args:
        descriptor_size: A.
        token_width: D.
        hidden_size: H.
        output_width: middle width of the map out of H.
        std: standard deviation of the embeddings of descriptors at the start.
    """

    def __init__(self, descriptor_size: int, token_width: int, hidden_size: int, output_width: int, std: float) -> None:
        super().__init__()
        self.std = std
        self.waves = WaveFeatures(descriptor_size, 2 * hidden_size)
        self.position = nn.Linear(2 * hidden_size, hidden_size)
        self.into = nn.Linear(token_width, hidden_size)
        self.into_gate = nn.Linear(hidden_size, hidden_size)
        self.out_of = DescribedLinear(hidden_size, descriptor_size, output_width, token_width)

    def reset_parameters(self) -> None:
        """Draw all maps but the one to the tokens, which starts at zero."""
        self.waves.reset_parameters()
        init_linear(self.into)
        init_linear(self.into_gate)
        nn.init.normal_(self.position.weight, std=self.std * (2.0 / self.position.in_features) ** 0.5)
        nn.init.zeros_(self.position.bias)
        self.out_of.reset_parameters()

    def project_in(self, tokens_BPD: Tensor, index: LayoutIndex) -> Tensor:
        """(B, P, D) -> (B, P, H), with the embedding of the descriptors added."""
        assert index.descriptors is not None
        embedded_PH = self.position(self.waves(index.descriptors).to(self.position.weight.dtype))
        hidden: Tensor = self.into(tokens_BPD) * (1.0 + self.into_gate(embedded_PH)) + embedded_PH
        return hidden

    def project_out(
        self,
        hidden_BPH: Tensor,
        index: LayoutIndex,
        dtype: torch.dtype | None = None,
        forecasts: Sequence[Tensor | None] | None = None,
    ) -> Tensor:
        """(B, P, H) -> (B, P, D). The arguments are those of `GroupProjection.project_out`."""
        assert index.descriptors is not None
        tokens: Tensor = self.out_of(self.out_of.mix(hidden_BPH), index.descriptors)
        tokens = tokens if dtype is None else tokens.to(dtype)
        if forecasts is None:
            return tokens
        parts = [
            tokens.new_zeros(len(tokens), count, tokens.shape[-1]) if forecast is None else forecast.to(tokens.dtype)
            for count, forecast in zip(index.group_counts, forecasts, strict=True)
        ]
        forecast = torch.cat(parts, dim=1)
        return tokens + (forecast if index.inverse is None else forecast[:, index.inverse])


class DescribedForecast(DescribedLinear):
    """Forecasts each shared token as a linear function of the features of the class set.

    This is the pooled forecast (`tina_framework.denoiser.forecast`) in factored form, for tokens of any architecture.

    Args:
        condition_dim: E.
        rank: R, number of directions.
        moments: how many of these directions also enter in pairs.
        descriptor_size: A.
        width: M.
        token_width: D.
    """

    def __init__(
        self, condition_dim: int, rank: int, moments: int, descriptor_size: int, width: int, token_width: int
    ) -> None:
        super().__init__(num_features(rank, moments), descriptor_size, width, token_width)
        self.moments = moments
        self.directions = nn.Parameter(torch.empty(rank, condition_dim))

    def reset_parameters(self) -> None:
        """Draw the directions at random, and the rest as `DescribedLinear`."""
        super().reset_parameters()
        nn.init.normal_(self.directions, std=self.directions.shape[1] ** -0.5)

    def features(self, condition_BKE: Tensor, class_mask_BK: Tensor | None) -> Tensor:
        """Compute the mixtures of a class set: (B, K, E) and a class mask (B, K), None without padding -> (B, 1, M)."""
        return self.mix(set_features(condition_BKE, class_mask_BK, self.directions, self.moments))[:, None]
