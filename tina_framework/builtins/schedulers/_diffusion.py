"""The forward process that ddpm and ddim share: betas, timesteps, noising, and what a prediction says about x0.

Notation: a_t is alpha-bar of arXiv 2006.11239 (`alphas_cumprod`; arXiv 2010.02502 calls it alpha), so that
x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise. Timesteps count from 0, as in diffusers: t here is t + 1 in the papers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from tina_framework.builtins.schedulers._settings import (
    SchedulerConfig,
    check_steps,
    check_total,
    one_of,
    read_config,
    trailing,
)
from tina_framework.errors import ConfigError

__all__ = ["GaussianDiffusion", "randn_like"]

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
TIMESTEP_SPACINGS = ("leading", "trailing", "linspace")

# Settings of diffusers' schedulers that change samples and are not built here, at the value that switches them off.
_SWITCHED_OFF: Mapping[str, Any] = {
    "clip_sample": False,
    "thresholding": False,
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "steps_offset": 0,
}
# Settings that mean nothing once the ones above are off, or that belong to the other sampler.
_WITHOUT_EFFECT = frozenset(
    {"clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "set_alpha_to_one", "variance_type"}
)


class GaussianDiffusion:
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
        check_total(num_train_timesteps)
        if not 0.0 < beta_start <= beta_end < 1.0:
            raise ConfigError(
                f"beta_start={beta_start} and beta_end={beta_end}; 0 < beta_start <= beta_end < 1 is needed."
            )
        one_of("beta_schedule", beta_schedule, BETA_SCHEDULES)
        one_of("prediction_type", prediction_type, PREDICTION_TYPES)
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
        self.betas = _betas(beta_schedule, beta_start, beta_end, num_train_timesteps)
        self.alphas_cumprod = torch.cumprod(1.0 - self.betas, dim=0)
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **overrides: Any) -> Self:
        """A fresh scheduler from a configuration: this one's, the other sampler's, or diffusers'.

        Raises:
            ConfigError: the configuration asks for something that is not built here (`clip_sample=True`, say).
        """
        return cls(**read_config(cls, {**config, **overrides}, _SWITCHED_OFF, _WITHOUT_EFFECT))

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses S of the T timesteps, spaced as in table 2 of arXiv 2305.08891.

        ``trailing`` starts at T - 1, pure noise, and is the default here; ``leading`` (diffusers' default) ends at 0 but
        starts late; ``linspace`` has both ends.

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

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The sample itself: these two samplers need no scaling."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise (arXiv 2006.11239, eq. 4); one timestep a row, or one for all."""
        signal, sigma = self.signal_and_noise(timesteps, original_samples)
        return signal * original_samples + sigma * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """v = sqrt(a_t) noise - sqrt(1 - a_t) x0 (arXiv 2202.00512, appendix D); `sample` is x0."""
        signal, sigma = self.signal_and_noise(timesteps, sample)
        return signal * noise - sigma * sample

    def predict_original_sample(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """The x0 that a prediction stands for.

        Args:
            model_output: the prediction, of type `config.prediction_type`.
            timestep: one for all rows, or (B,).
            sample: x_t.
        """
        signal, sigma = self.signal_and_noise(timestep, sample)
        match self.config["prediction_type"]:
            case "epsilon":
                return (sample - sigma * model_output) / signal  # 2006.11239 eq. 15; 2010.02502 eq. 9
            case "v_prediction":
                return signal * sample - sigma * model_output  # 2202.00512 appendix D
            case _:
                return model_output

    def from_original_sample(self, original_sample: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """The prediction that stands for `original_sample`: the inverse of `predict_original_sample`."""
        signal, sigma = self.signal_and_noise(timestep, sample)
        match self.config["prediction_type"]:
            case "epsilon":
                return (sample - signal * original_sample) / sigma
            case "v_prediction":
                return (signal * sample - original_sample) / sigma
            case _:
                return original_sample

    def signal_and_noise(self, timestep: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t), shaped to multiply `like` (B, ...).

        Raises:
            ValueError: a timestep lies outside 0 .. T - 1.
        """
        if isinstance(timestep, int) or (isinstance(timestep, Tensor) and timestep.dim() == 0):
            # A CPU scalar multiplies tensors anywhere and keeps their type.
            cumprod = self.alphas_cumprod[self.check_timestep(timestep)]
        else:
            steps = torch.as_tensor(timestep, device=like.device)
            cumprod = self.alphas_cumprod.to(like.device)[steps]
            cumprod = cumprod.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
        return cumprod.sqrt(), (1.0 - cumprod).sqrt()

    def check_timestep(self, timestep: Any) -> int:
        """A single timestep as an int.

        Raises:
            ValueError: it lies outside 0 .. T - 1.
        """
        t = int(timestep)
        if not 0 <= t < len(self.alphas_cumprod):
            raise ValueError(f"Timestep {t} lies outside 0..{len(self.alphas_cumprod) - 1}.")
        return t


def _betas(schedule: str, start: float, end: float, steps: int) -> Tensor:
    if schedule == "linear":  # 2006.11239, section 4
        return torch.linspace(start, end, steps, dtype=torch.float32)
    if schedule == "scaled_linear":  # linear in the standard deviation
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2

    def alpha_bar(time: float) -> float:  # arXiv 2102.09672, eq. 17
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    return torch.tensor([min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), 0.999) for i in range(steps)])


def randn_like(sample: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    """Standard normal noise, drawn on the generator's device and moved to the sample's.

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
    return torch.stack([row.to(sample.device) for row in rows])
