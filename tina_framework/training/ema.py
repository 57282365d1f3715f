"""An exponential moving average of the weights, with warm-up: what is validated, saved and exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from tina_framework.denoiser.transformer import Denoiser

__all__ = ["EMA", "decay_at"]


def decay_at(updates: int, decay: float) -> float:
    """The decay of update number `updates` (from 0): min(decay, (1 + n) / (10 + n)), so that the start is forgotten."""
    return min(decay, (1 + updates) / (10 + updates))


class EMA:
    """Averages a module's parameters in float32.

    Args:
        module: what to follow; its present weights are the start.
        decay: the greatest decay.

    Attributes:
        module: a copy in evaluation mode that holds the average.
        updates: how many there were.
    """

    def __init__(self, module: Denoiser, decay: float) -> None:
        self.module: Denoiser = copy.deepcopy(module).float().eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: Denoiser) -> None:
        """average <- d * average + (1 - d) * weights, with d = `decay_at`."""
        share = 1.0 - decay_at(self.updates, self.decay)
        averages: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(averages, [p.detach().float() for p in module.parameters()], share)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.module.named_parameters()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        for name, parameter in self.module.named_parameters():
            parameter.copy_(tensors[name])
        self.updates = updates
