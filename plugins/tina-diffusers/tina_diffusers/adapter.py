"""What stands between a generator's sampling loop and a scheduler of diffusers.

Outside, everything is as a generator was trained: x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise with a_t =
`alphas_cumprod[t]`, whole timesteps from 0 to T - 1. Inside, a scheduler of diffusers takes the steps, in the
coordinates it was written in. All of these are x_t times a number that depends on t alone, so going there and back loses
nothing but rounding:

    variance preserving   x_t                                   DPM-Solver++, UniPC, DEIS, SA-Solver
    variance exploding    x_t / sqrt(a_t)                       Euler (arXiv 2206.00364, VP row of table 1)
    flow matching         x_t / (sqrt(a_t) + sqrt(1 - a_t))     (1 - s) x0 + s noise (arXiv 2210.02747, equation 22)

Shapes: B batch, T training timesteps, S sampling steps.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

import diffusers
import torch
from torch import Tensor

from tina_diffusers.settings import check_settings
from tina_framework.errors import ConfigError

__all__ = ["DiffusersSampler", "StepOutput", "of_diffusers"]


def of_diffusers(name: str) -> Any:
    """A class of diffusers, which is only partly typed."""
    return getattr(diffusers, name)


@dataclass(frozen=True)
class StepOutput:
    """What one step gives.

    Attributes:
        prev_sample: x at the next, less noisy timestep; same shape as the sample.
        pred_original_sample: the x0 that the prediction stands for.
    """

    prev_sample: Tensor
    pred_original_sample: Tensor


class DiffusersSampler:
    """A `tina_framework.interfaces.scheduler.NoiseScheduler`; subclasses name the scheduler of diffusers.

    Timesteps are spaced as ``timestep_spacing="trailing"`` has it: sampling starts at t = T - 1, pure noise. The last step
    ends at the x0 that the network predicts, as steps to a noise level of zero do in diffusers anyway; only DEIS and
    SA-Solver lack such a step there, and would stop at the noise level of t = 0.

    Args:
        num_train_timesteps: T.
        beta_start, beta_end: first and last beta.
        beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2`` (which ignores the two betas).
        prediction_type: what the denoiser predicts: ``sample`` (x0), ``epsilon`` (the noise) or ``v_prediction``.
        clip_sample, thresholding: False only; there so that a configuration says so.

    Attributes:
        config: the arguments, as a plain dict.
        alphas_cumprod: (T,) float32 on the CPU.
        timesteps: (S,) int64, falling; empty until `set_timesteps` is called.
        init_noise_sigma: 1.0, the standard deviation to start from.
        inner: the scheduler of diffusers.

    Raises:
        ConfigError: a setting is out of range.
    """

    scheduler: ClassVar[str]
    """The class in diffusers."""
    fixed: ClassVar[dict[str, Any]] = {}
    """What it is made with besides the noise process."""
    predicts_sample: ClassVar[bool] = True
    """Whether it has ``prediction_type="sample"``; otherwise it is handed v predictions instead."""

    init_noise_sigma: float = 1.0

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        prediction_type: str = "sample",
        clip_sample: bool = False,
        thresholding: bool = False,
    ) -> None:
        self.config: dict[str, Any] = {
            "num_train_timesteps": num_train_timesteps,
            "beta_start": beta_start,
            "beta_end": beta_end,
            "beta_schedule": beta_schedule,
            "prediction_type": prediction_type,
            "clip_sample": clip_sample,
            "thresholding": thresholding,
        }
        check_settings(self.config)
        process = {name: self.config[name] for name in list(self.config)[:4]}
        self._forward: Any = of_diffusers("DDPMScheduler")(**process)
        self.alphas_cumprod: Tensor = self._forward.alphas_cumprod
        self.timesteps = torch.empty(0, dtype=torch.int64)
        self.inner = self._make_inner(process)

    def _make_inner(self, process: dict[str, Any]) -> Any:
        """The scheduler of diffusers, with this noise process."""
        cls = of_diffusers(self.scheduler)
        kind = self.config["prediction_type"]
        if kind == "sample" and not self.predicts_sample:
            kind = "v_prediction"
        given = {"prediction_type": kind, "timestep_spacing": "trailing", "clip_sample": False, "thresholding": False}
        known = inspect.signature(cls.__init__).parameters
        return cls(**process, **{name: value for name, value in given.items() if name in known}, **self.fixed)

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses S timesteps, and forgets any run before.

        Raises:
            ConfigError: S lies outside 1 .. T.
        """
        total = len(self.alphas_cumprod)
        if isinstance(num_inference_steps, bool) or not 1 <= num_inference_steps <= total:
            raise ConfigError(f"num_inference_steps is {num_inference_steps!r}; it must lie between 1 and {total}.")
        self.timesteps = self._choose(num_inference_steps).to(device)
        self._place = {t: place for place, t in enumerate(self.timesteps.tolist())}

    def _choose(self, num_inference_steps: int) -> Tensor:
        """(S,) int64; `inner` is set to the same."""
        self.inner.set_timesteps(num_inference_steps)
        # For some S the rounding of numpy.arange gives diffusers one timestep too many, which is -1.
        chosen: Tensor = self.inner.timesteps[:num_inference_steps].round().long()
        return chosen

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """(B, ...) as it is: the network reads x_t."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(B, ...) x_t of a clean x0, noise of the same shape and (B,) timesteps."""
        noisy: Tensor = self._forward.add_noise(original_samples, noise, timesteps)
        return noisy

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(B, ...) the target of ``v_prediction`` (arXiv 2202.00512, appendix D)."""
        velocity: Tensor = self._forward.get_velocity(sample, noise, timesteps)
        return velocity

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *, generator: Any = None) -> StepOutput:
        """From x_t to the next x.

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`, which have to be gone through in their order.
            sample: (B, ...) x_t.
            generator: one for the batch, or one a row; unused by deterministic samplers.

        Raises:
            ValueError: t was not chosen by `set_timesteps`.
        """
        t = int(timestep)
        if not len(self.timesteps) or t not in self._place:
            raise ValueError(f"Timestep {t} is not among those that set_timesteps chose.")
        x0 = self.predict_original_sample(model_output, t, sample)
        place = self._place[t]
        if place == len(self.timesteps) - 1:
            return StepOutput(x0, x0)
        following = int(self.timesteps[place + 1])
        theirs = self.inner.timesteps[place]
        scaled = sample / self.unit(t)
        if hasattr(self.inner, "scale_model_input"):
            self.inner.scale_model_input(scaled, theirs)  # some of them warn if it was not called
        extra = {"generator": generator} if "generator" in inspect.signature(self.inner.step).parameters else {}
        stepped = self.inner.step(self._said(model_output, x0, t, sample), theirs, scaled, **extra).prev_sample
        return StepOutput(stepped * self.unit(following), x0)

    def predict_original_sample(self, model_output: Tensor, timestep: int, sample: Tensor) -> Tensor:
        """The x0 that a prediction at x_t stands for; the arguments of `step`."""
        signal, sigma = self._rates(timestep)
        match self.config["prediction_type"]:
            case "epsilon":
                return (sample - sigma * model_output) / signal  # 2006.11239, equation 15
            case "v_prediction":
                return signal * sample - sigma * model_output  # 2202.00512, appendix D
            case _:
                return model_output

    def unit(self, timestep: int) -> Tensor | float:
        """What x_t is in the scheduler's own coordinates, times this, is x_t."""
        return 1.0

    def _said(self, model_output: Tensor, x0: Tensor, timestep: int, sample: Tensor) -> Tensor:
        """The prediction, as the scheduler of diffusers wants it."""
        if self.predicts_sample or self.config["prediction_type"] != "sample":
            return model_output
        signal, sigma = self._rates(timestep)
        # Well-conditioned at both ends, unlike the noise, from which x0 can hardly be told at t = T - 1.
        return (signal * sample - x0) / sigma

    def _rates(self, timestep: int) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t): scalars on the CPU, which multiply tensors anywhere and keep their type."""
        cumprod = self.alphas_cumprod[timestep].cpu()
        return cumprod.sqrt(), (1.0 - cumprod).sqrt()
