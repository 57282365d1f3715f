"""An exponential moving average of the weights, with warm-up. Validation and export use this average."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from tina_framework.denoiser.presets import DenoiserConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.training.sharding import full, is_sharded, like, local

__all__ = ["EMA", "decay_at"]


def decay_at(updates: int, decay: float) -> float:
    """Return the decay of update number n = `updates`, counted from 0: min(decay, (1 + n) / (10 + n)).

    This is the warm-up of TensorFlow's ExponentialMovingAverage with `num_updates`. A constant decay of 0.999 would keep
    37 % of the random initial weights after 1000 updates; with the warm-up, 10 updates leave 0.001 %.
    """
    return min(decay, (1 + updates) / (10 + updates))


class EMA:
    """An average of a denoiser's parameters, in float32. It is sharded as the denoiser is.

    Args:
        module: the denoiser to average; the average starts at its current weights.
        decay: the decay after the warm-up.

    Attributes:
        updates: number of updates so far.
    """

    def __init__(self, module: Denoiser, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._config: DenoiserConfig | None = None  # of sharded weights, which are gathered into a new denoiser
        if is_sharded(module):
            self._config = module.config
            self._averages = {name: p.detach().float().clone() for name, p in module.named_parameters()}
        else:
            self._module = copy.deepcopy(module).float().eval().requires_grad_(False)
            self._averages = dict(self._module.named_parameters())

    @torch.no_grad()
    def update(self, module: Denoiser) -> None:
        """Update the average: average <- d average + (1 - d) weights, with d = `decay_at`."""
        share = 1.0 - decay_at(self.updates, self.decay)
        averages = [local(average) for average in self._averages.values()]
        torch._foreach_lerp_(averages, [local(p.detach()).float() for p in module.parameters()], share)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return {name: average.detach() for name, average in self._averages.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Restore the averages from whole tensors by name, and the number of updates."""
        for name, average in self._averages.items():
            average.copy_(like(tensors[name], average))
        self.updates = updates

    @torch.no_grad()
    def denoiser(self, device: torch.device | None = None, needed: bool = True) -> Denoiser:
        """Return a denoiser with the averaged weights, in evaluation mode.

        Without sharding it shares the averages' memory. With sharding it is a copy that is gathered tensor by tensor, and all
        processes must call this.

        Args:
            device: where a gathered copy goes; None: the device of the shards.
            needed: whether this process needs the copy. Otherwise it gets a denoiser without weights, on the meta device.
        """
        if self._config is None:
            return self._module
        with torch.device("meta"):
            module = Denoiser(self._config)
        for name, average in self._averages.items():
            whole = full(average)
            if needed:
                module.load_state_dict({name: whole.to(device)}, strict=False, assign=True)
        return module.eval().requires_grad_(False)
