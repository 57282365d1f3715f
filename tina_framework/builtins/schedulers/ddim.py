"""`ddim`: implicit, by default deterministic sampling in few steps (Song et al., arXiv 2010.02502)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.builtins.schedulers._diffusion import DiffusionScheduler, randn_like
from tina_framework.interfaces.scheduler import StepOutput

__all__ = ["DDIMScheduler"]


class DDIMScheduler(DiffusionScheduler):
    """Settings have the names and meaning of diffusers, whose `DDIMScheduler.from_config` takes the `config` of this class.

    Three defaults differ from those of diffusers. ``prediction_type`` is "sample". ``timestep_spacing`` is "trailing", so that
    sampling starts at t = T - 1, pure noise. Samples are never clipped, because weights are not limited to [-1, 1] as pixels are.

    Args:
        num_train_timesteps: T.
        beta_start, beta_end: first and last beta.
        beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2`` (which ignores the two betas).
        prediction_type: what the denoiser predicts: ``sample`` (x0), ``epsilon`` (the noise) or ``v_prediction``.
        set_alpha_to_one: the last step ends at x0 (a = 1) rather than at the noise level of t = 0.
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
        set_alpha_to_one: bool = True,
        timestep_spacing: str = "trailing",
        clip_sample: bool = False,
    ) -> None:
        super().__init__(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            prediction_type=prediction_type,
            timestep_spacing=timestep_spacing,
            clip_sample=clip_sample,
            set_alpha_to_one=set_alpha_to_one,
        )
        self.final_alpha_cumprod = torch.tensor(1.0) if set_alpha_to_one else self.alphas_cumprod[0]

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(num_inference_steps, device)
        self._last = int(self.timesteps[-1])

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        *,
        eta: float = 0.0,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> StepOutput:
        """Go from x_t to the next x.

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`.
            sample: (B, ...) x_t.
            eta: 0: deterministic; 1: as noisy as DDPM.
            generator: one for the batch, or one a row; unused at eta = 0.

        Raises:
            ValueError: `set_timesteps` was not called, or `eta` lies outside 0 .. 1.
        """
        if self.num_inference_steps is None:
            raise ValueError("No timesteps are chosen yet; call set_timesteps before step.")
        if not 0.0 <= eta <= 1.0:
            raise ValueError(f"eta is {eta}; it must lie between 0 and 1.")
        t = self.check_timestep(timestep)
        # T // S back, as in diffusers. If S does not divide T, that is not exactly the next timestep of the list. The last step
        # always ends at x0 here; in diffusers it keeps the noise of t = 0 for some such S, e.g. 7 of 1000.
        previous = -1 if t == self._last else t - self.config["num_train_timesteps"] // self.num_inference_steps
        a_t = self.alphas_cumprod[t]
        a_s = self.alphas_cumprod[previous] if previous >= 0 else self.final_alpha_cumprod

        # Equation 9, or its counterpart for the other prediction types, and the noise that belongs to x0.
        x0 = self.predict_original_sample(model_output, t, sample)
        noise = self._predict_noise(model_output, x0, t, sample)

        # Equation 16.
        sigma = eta * ((1 - a_s) / (1 - a_t)).sqrt() * (1 - a_t / a_s).sqrt()

        # Equation 12: x0 part, direction pointing to x_t, random noise.
        mean = _promoted(a_s.sqrt() * x0, noise).add_((1 - a_s - sigma**2).clamp(min=0.0).sqrt() * noise)
        return StepOutput(mean + sigma * randn_like(sample, generator) if eta > 0 else mean, x0)

    def _predict_noise(self, model_output: Tensor, x0: Tensor, t: int, sample: Tensor) -> Tensor:
        signal, sigma = self.signal_and_noise(t, sample)
        match self.prediction_type:
            case "epsilon":
                return model_output
            case "v_prediction":
                return signal * model_output + sigma * sample  # 2202.00512, appendix D
            case _:
                # Equation 9, solved for the noise: (sample - signal * x0) / sigma. Both signs are flipped, which changes no bit, so
                # that one new tensor is enough. Large tensors cost more memory traffic than arithmetic.
                return _promoted(signal * x0, sample).sub_(sample).div_(-sigma)


def _promoted(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor in the type that a sum with another one has, so that the sum can be computed in place."""
    return tensor.to(torch.result_type(tensor, other))
