"""Noise schedulers, with diffusers' names and meaning, so that any diffusers scheduler fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["NoiseScheduler", "SchedulerOutput", "is_flow"]


class SchedulerOutput(Protocol):
    prev_sample: torch.Tensor


class NoiseScheduler(Protocol):
    """One forward process and one sampler for it. Stateful after `set_timesteps`: use a fresh instance per run.

    Attributes:
        config: what `from_config` needs (`num_train_timesteps`, betas or `shift`, `prediction_type`, ...), JSON-serialisable.
        timesteps: (S,) int64, decreasing; set by `set_timesteps`.
        alphas_cumprod: (T,) share of signal left at each training timestep, in variance: `scale_model_input` makes
            sqrt(a_t) x0 + sqrt(1 - a_t) noise of what `add_noise` made. A denoiser sees nothing else.
        init_noise_sigma: standard deviation of the initial noise.
    """

    config: Any
    timesteps: torch.Tensor
    alphas_cumprod: torch.Tensor
    init_noise_sigma: Any

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None: ...

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor: ...

    def add_noise(
        self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor: ...

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *, generator: Any = None
    ) -> Any: ...


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's configuration is that of rectified flow, not of diffusion: it has a shift and no betas."""
    return "shift" in config and not any("beta" in name and not name.startswith("use_") for name in config)
