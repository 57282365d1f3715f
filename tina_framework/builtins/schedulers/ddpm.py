"""`ddpm`: ancestral sampling (Ho et al., arXiv 2006.11239), over all training timesteps or some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.builtins.schedulers._diffusion import DiffusionScheduler, randn_like
from tina_framework.interfaces.noise_process import one_of
from tina_framework.interfaces.scheduler import StepOutput

__all__ = ["DDPMScheduler"]


class DDPMScheduler(DiffusionScheduler):
    """Settings have the names and meaning of diffusers, whose `DDPMScheduler.from_config` takes the `config` of this class.

    Three defaults differ from those of diffusers. ``prediction_type`` is "sample". ``timestep_spacing`` is "trailing", so that
    sampling starts at t = T - 1, pure noise. Samples are never clipped, because weights are not limited to [-1, 1] as pixels are.

    Args:
        num_train_timesteps: T.
        beta_start, beta_end: first and last beta.
        beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2`` (which ignores the two betas).
        prediction_type: what the denoiser predicts: ``sample`` (x0), ``epsilon`` (the noise) or ``v_prediction``.
        variance_type: ``fixed_small`` (the posterior's variance) or ``fixed_large`` (beta).
        timestep_spacing: ``trailing``, ``leading`` or ``linspace``.
        clip_sample: only False is allowed; the setting exists so that saved configurations state it.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        prediction_type: str = "sample",
        variance_type: str = "fixed_small",
        timestep_spacing: str = "trailing",
        clip_sample: bool = False,
    ) -> None:
        one_of("variance_type", variance_type, ("fixed_small", "fixed_large"))
        super().__init__(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            prediction_type=prediction_type,
            timestep_spacing=timestep_spacing,
            clip_sample=clip_sample,
            variance_type=variance_type,
        )

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(num_inference_steps, device)
        steps: list[int] = self.timesteps.tolist()
        self._next: dict[int, int] = dict(zip(steps, [*steps[1:], -1], strict=True))

    def previous_timestep(self, timestep: int) -> int:
        """Return the less noisy timestep that follows in sampling; -1 means x0.

        Raises:
            ValueError: `timestep` is not among `timesteps`.
        """
        if self.num_inference_steps is None:
            return timestep - 1
        if timestep not in self._next:
            raise ValueError(
                f"Timestep {timestep} is not among the {self.num_inference_steps} that set_timesteps chose."
            )
        return self._next[timestep]

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> StepOutput:
        """Go from x_t to the next x.

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`.
            sample: (B, ...) x_t.
            generator: one for the batch, or one a row.
        """
        t = self.check_timestep(timestep)
        previous = self.previous_timestep(t)

        # One step leads from t to s = previous < t. If all timesteps are used, beta is beta_t of the paper.
        a_t = self.alphas_cumprod[t]
        a_s = self.alphas_cumprod[previous] if previous >= 0 else torch.tensor(1.0)
        alpha = a_t / a_s
        beta = 1 - alpha

        # Equation 15, or its counterpart for the other prediction types.
        x0 = self.predict_original_sample(model_output, t, sample)

        # Equation 7: the mean of q(x_s | x_t, x0).
        mean = a_s.sqrt() * beta / (1 - a_t) * x0 + alpha.sqrt() * (1 - a_s) / (1 - a_t) * sample

        # Algorithm 2, lines 3 and 4: no noise in the step that ends at x0.
        if previous < 0:
            return StepOutput(mean, x0)
        # Section 3.2: the two choices of sigma^2. The posterior variance is beta-tilde of equation 7.
        small = self.config["variance_type"] == "fixed_small"
        variance = ((1 - a_s) / (1 - a_t) * beta).clamp(min=1e-20) if small else beta
        return StepOutput(mean + variance.sqrt() * randn_like(sample, generator), x0)
