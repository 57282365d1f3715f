"""An exponential moving average of the weights, with warm-up. Validation and export use this average."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from tina_framework.denoiser.transformer import Denoiser

__all__ = ["EMA", "decay_at"]


def decay_at(updates: int, decay: float) -> float:
    """Return the decay of update number n = `updates`, counted from 0: min(decay, (1 + n) / (10 + n)).

    This is the warm-up of TensorFlow's ExponentialMovingAverage with `num_updates`. A constant decay of 0.999 would keep
    37 % of the random initial weights after 1000 updates; with the warm-up, 10 updates leave 0.001 %.
    """
    return min(decay, (1 + updates) / (10 + updates))


class EMA:
    """An average of a module's parameters, in float32.

    Args:
        module: the module to average; the average starts at its current weights.
        decay: the decay after the warm-up.

    Attributes:
        module: a copy in evaluation mode that holds the average.
        updates: number of updates so far.
    """

    def __init__(self, module: Denoiser, decay: float) -> None:
        self.module: Denoiser = copy.deepcopy(module).float().eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: Denoiser) -> None:
        """Update the average: average <- d average + (1 - d) weights, with d = `decay_at`."""
        share = 1.0 - decay_at(self.updates, self.decay)
        averages: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(averages, [p.detach().float() for p in module.parameters()], share)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return {name: p.detach() for name, p in self.module.named_parameters()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Restore what `state_dict` returned, and the number of updates."""
        for name, parameter in self.module.named_parameters():
            parameter.copy_(tensors[name])
        self.updates = updates
