"""The adapter between the sampling loop of a generator and a scheduler of diffusers.

A generator sees what it was trained on: x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise with a_t =
`alphas_cumprod[t]`, whole timesteps from 0 to T - 1. A scheduler of diffusers takes the steps, in the
coordinates it was written for. These are x_t times a number that depends on t alone, so the conversion is exact up to
rounding:

    variance preserving   x_t                                   DPM-Solver++, UniPC, DEIS, SA-Solver
    variance exploding    x_t / sqrt(a_t)                       Euler (arXiv 2206.00364, VP row of table 1)
    flow matching         x_t / (sqrt(a_t) + sqrt(1 - a_t))     (1 - s) x0 + s noise (arXiv 2210.02747, equation 22)

Shapes: B batch, T training timesteps, S sampling steps.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import diffusers
import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.noise_process import DiffusionProcess
from tina_framework.interfaces.scheduler import StepOutput

__all__ = ["DiffusersSampler", "of_diffusers"]


def of_diffusers(name: str) -> Any:
    """Return a class of diffusers, which is only partly typed."""
    return getattr(diffusers, name)


class DiffusersSampler(DiffusionProcess):
    """A `tina_framework.interfaces.scheduler.NoiseScheduler`; subclasses name the scheduler of diffusers.

    Timesteps are spaced as with ``timestep_spacing="trailing"``: sampling starts at t = T - 1, pure noise. The last step ends
    at the x0 that the network predicts, as a step to a noise level of zero does in diffusers. DEIS and SA-Solver have no such
    step in diffusers, where they stop at the noise level of t = 0.

    Args:
        num_train_timesteps: T.
        beta_start, beta_end: first and last beta.
        beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2`` (which ignores the two betas).
        prediction_type: what the denoiser predicts: ``sample`` (x0), ``epsilon`` (the noise) or ``v_prediction``.
        clip_sample, thresholding: only False is allowed; the settings exist so that saved configurations state them.

    Attributes:
        config: the arguments, as a plain dict.
        timesteps: (S,) int64, falling; empty until `set_timesteps` is called.
        init_noise_sigma: 1.0, the standard deviation to start from.
        inner: the scheduler of diffusers.

    Raises:
        ConfigError: a setting is out of range.
    """

    scheduler: ClassVar[str]
    """The class in diffusers."""
    fixed: ClassVar[dict[str, Any]] = {}
    """Its settings besides those of the noise process."""
    predicts_sample: ClassVar[bool] = True
    """Whether it has ``prediction_type="sample"``; otherwise it is given v predictions."""

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
        for name in ("clip_sample", "thresholding"):
            if self.config[name] is not False:
                raise ConfigError(
                    f"{name} is {self.config[name]!r}; weights are not pixels and must not be cut off, so it can only be False."
                )
        super().__init__(num_train_timesteps, beta_start, beta_end, beta_schedule, prediction_type)
        process = {name: self.config[name] for name in self.settings if name != "prediction_type"}
        self.timesteps = torch.empty(0, dtype=torch.int64)
        self.inner = self._make_inner(process)

    def _make_inner(self, process: dict[str, Any]) -> Any:
        """Make the scheduler of diffusers, with this noise process."""
        cls = of_diffusers(self.scheduler)
        kind = self.prediction_type
        if kind == "sample" and not self.predicts_sample:
            kind = "v_prediction"
        given = {"prediction_type": kind, "timestep_spacing": "trailing", "clip_sample": False, "thresholding": False}
        known = inspect.signature(cls.__init__).parameters
        return cls(**process, **{name: value for name, value in given.items() if name in known}, **self.fixed)

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Choose S timesteps, and forget any run before.

        Raises:
            ConfigError: S lies outside 1 .. T.
        """
        total = len(self.alphas_cumprod)
        if isinstance(num_inference_steps, bool) or not 1 <= num_inference_steps <= total:
            raise ConfigError(f"num_inference_steps is {num_inference_steps!r}; it must lie between 1 and {total}.")
        self.timesteps = self._choose(num_inference_steps).to(device)
        self._place = {t: place for place, t in enumerate(self.timesteps.tolist())}

    def _choose(self, num_inference_steps: int) -> Tensor:
        """Return (S,) int64 timesteps; `inner` is set to the same."""
        self.inner.set_timesteps(num_inference_steps)
        # For some S the rounding of numpy.arange gives diffusers one timestep too many, which is -1.
        chosen: Tensor = self.inner.timesteps[:num_inference_steps].round().long()
        return chosen

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *, generator: Any = None) -> StepOutput:
        """Go from x_t to the next x.

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`, in their order.
            sample: (B, ...) x_t.
            generator: one for the batch, or one for each row; unused by deterministic samplers.

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
        stepped = self.inner.step(self._converted(model_output, x0, t, sample), theirs, scaled, **extra).prev_sample
        return StepOutput(stepped * self.unit(following), x0)

    def unit(self, timestep: int) -> Tensor | float:
        """Return x_t divided by the same sample in the coordinates of the scheduler of diffusers."""
        return 1.0

    def _converted(self, model_output: Tensor, x0: Tensor, timestep: int, sample: Tensor) -> Tensor:
        """Return the prediction in the form that the scheduler of diffusers expects."""
        if self.predicts_sample or self.prediction_type != "sample":
            return model_output
        signal, sigma = self._rates(timestep)
        # v, not the noise: at t = T - 1 the noise hardly determines x0, so rounding would spoil it.
        return (signal * sample - x0) / sigma

    def _rates(self, timestep: int) -> tuple[Tensor, Tensor]:
        """Return sqrt(a_t) and sqrt(1 - a_t): scalars on the CPU, which multiply tensors on any device and keep their type."""
        cumprod = self.alphas_cumprod[timestep].cpu()
        return cumprod.sqrt(), (1.0 - cumprod).sqrt()
