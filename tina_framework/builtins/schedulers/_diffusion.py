"""What ddpm and ddim share: the settings, the choice of timesteps, and random noise for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from tina_framework.builtins.schedulers._settings import SchedulerConfig, check_steps, read_config, trailing
from tina_framework.errors import ConfigError
from tina_framework.interfaces.noise_process import DiffusionProcess, one_of

__all__ = ["DiffusionScheduler", "randn_like"]

TIMESTEP_SPACINGS = ("leading", "trailing", "linspace")

# Settings of diffusers' schedulers that change samples and are not implemented here -> the value that switches them off.
_SWITCHED_OFF: Mapping[str, Any] = {
    "clip_sample": False,
    "thresholding": False,
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "steps_offset": 0,
}
# Settings without effect once those above are switched off, and settings of the other of the two samplers.
_WITHOUT_EFFECT = frozenset(
    {"clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "set_alpha_to_one", "variance_type"}
)


class DiffusionScheduler(DiffusionProcess):
    """Everything but the step; see `DDPMScheduler` for the arguments.

    Attributes:
        betas, alphas_cumprod: (T,) float32 on the CPU.
        timesteps: (S,) int64, decreasing; all T of them until `set_timesteps` is called.
        num_inference_steps: S, None until `set_timesteps` is called.
        init_noise_sigma: 1.0, the standard deviation to start from.
    """

    order: ClassVar[int] = 1
    init_noise_sigma: float = 1.0

    def __init__(
        self,
        *,
        num_train_timesteps: int,
        beta_start: float,
        beta_end: float,
        beta_schedule: str,
        prediction_type: str,
        timestep_spacing: str,
        clip_sample: bool,
        **own: Any,
    ) -> None:
        super().__init__(num_train_timesteps, beta_start, beta_end, beta_schedule, prediction_type)
        one_of("timestep_spacing", timestep_spacing, TIMESTEP_SPACINGS)
        if clip_sample:
            raise ConfigError("clip_sample is true, which would cut generated weights off at 1; set it to false.")
        self.config = SchedulerConfig(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            prediction_type=prediction_type,
            timestep_spacing=timestep_spacing,
            clip_sample=False,
            **own,
        )
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **overrides: Any) -> Self:
        """Return a fresh scheduler from a configuration: its own, the other sampler's, or one of diffusers.

        Raises:
            ConfigError: the configuration asks for something that is not implemented here, e.g. `clip_sample=True`.
        """
        return cls(**read_config(cls, {**config, **overrides}, _SWITCHED_OFF, _WITHOUT_EFFECT))

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Choose S of the T timesteps, spaced as in table 2 of arXiv 2305.08891.

        ``trailing``, the default here, starts at T - 1, which is pure noise. ``leading``, the default of diffusers, ends at 0
        but starts late. ``linspace`` has both ends.

        Raises:
            ConfigError: S is not between 1 and T.
        """
        total, steps = self.config["num_train_timesteps"], num_inference_steps
        check_steps(steps, total)
        spacing = self.config["timestep_spacing"]
        if spacing == "trailing":
            chosen = trailing(steps, total)
        elif spacing == "leading":
            chosen = np.arange(steps)[::-1] * (total // steps)
        else:
            chosen = np.linspace(0, total - 1, steps).round()[::-1]
        self.num_inference_steps = steps
        self.timesteps = torch.from_numpy(chosen.astype(np.int64)).to(device)


def randn_like(sample: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    """Return standard normal noise, drawn on the generator's device and moved to the sample's.

    Args:
        sample: (B, ...).
        generator: one for the whole batch, or one a row: a row's noise then does not depend on its neighbours.

    Raises:
        ValueError: a list of another length than B.
    """
    if generator is None or isinstance(generator, torch.Generator):
        device = sample.device if generator is None else generator.device
        return torch.randn(sample.shape, generator=generator, device=device, dtype=sample.dtype).to(sample.device)
    if len(generator) != sample.shape[0]:
        raise ValueError(f"{len(generator)} random generators for a batch of {sample.shape[0]}; give one a row.")
    rows = [torch.randn(sample.shape[1:], generator=g, device=g.device, dtype=sample.dtype) for g in generator]
    if len({row.device for row in rows}) > 1:
        rows = [row.to(sample.device) for row in rows]
    return torch.stack(rows).to(sample.device)
