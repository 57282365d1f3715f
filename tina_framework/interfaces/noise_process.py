"""The two noise processes that denoisers are trained for: diffusion and rectified flow.

A noise process turns a clean x0 into noise over T timesteps. Training draws its noisy samples from it, and a scheduler
samples it backwards. The mathematics is here, once, so that training works with the scheduler of any plugin: a scheduler
only says which process it samples (`noise_process`) and takes the settings of that process (`settings`).

Notation: a_t is `alphas_cumprod[t]`, alpha-bar of DDPM (Ho et al., arXiv 2006.11239; DDIM, arXiv 2010.02502, calls it alpha).
Timesteps count from 0, as in diffusers: t here is t + 1 in the papers. Shapes: B batch, T training timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from tina_framework.errors import ConfigError, PluginError, shorten
from tina_framework.interfaces.constant_tables import ConstantTables
from tina_framework.interfaces.scheduler import noise_process_of
from tina_framework.interfaces.whole_numbers import MAX_TIMESTEPS

__all__ = [
    "BETA_SCHEDULES",
    "NOISE_PROCESSES",
    "DiffusionProcess",
    "FlowProcess",
    "NoiseProcess",
    "check_total",
    "one_of",
    "process_sampled_by",
]

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""The names of noise schedules that `DiffusionProcess` takes; diffusers has the same."""


class NoiseProcess(Protocol):
    """What training needs of a noise process.

    Attributes:
        noise_process: its name, as schedulers state it.
        settings: the names of its settings, which are arguments of its constructor and of every scheduler that samples it.
        prediction_types: what a denoiser may predict.
        prediction_type: what the denoiser predicts.
        alphas_cumprod: (T,) the share of signal, in variance, in what the denoiser is shown.
    """

    noise_process: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    prediction_types: ClassVar[tuple[str, ...]]
    prediction_type: str
    alphas_cumprod: Tensor

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return x_t of a clean x0; one timestep a row, or one for all."""
        ...

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """Return x_t at unit variance: sqrt(a_t) x0 + sqrt(1 - a_t) noise."""
        ...

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return the target of a velocity prediction; `sample` is x0."""
        ...

    def prediction_target(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return what a perfect denoiser predicts; `sample` is x0."""
        ...

    def predict_original_sample(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """Return the x0 that a prediction at x_t (`sample`) implies."""
        ...


class DiffusionProcess:
    """Variance-preserving diffusion: x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise (DDPM, arXiv 2006.11239, equation 4).

    Args:
        num_train_timesteps: T.
        beta_start, beta_end: first and last beta.
        beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2`` (which ignores the two betas).
        prediction_type: what the denoiser predicts: ``sample`` (x0), ``epsilon`` (the noise) or ``v_prediction``.

    Attributes:
        betas, alphas_cumprod: (T,) float32 on the CPU.

    Raises:
        ConfigError: a setting is out of range.
    """

    noise_process: ClassVar[str] = "diffusion"
    settings: ClassVar[tuple[str, ...]] = (
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type",
    )  # fmt: skip
    prediction_types: ClassVar[tuple[str, ...]] = ("sample", "epsilon", "v_prediction")

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        prediction_type: str = "sample",
    ) -> None:
        check_total(num_train_timesteps)
        if not 0.0 < beta_start <= beta_end < 1.0:
            raise ConfigError(
                f"beta_start={beta_start} and beta_end={beta_end}; 0 < beta_start <= beta_end < 1 is needed."
            )
        one_of("beta_schedule", beta_schedule, BETA_SCHEDULES)
        one_of("prediction_type", prediction_type, self.prediction_types)
        self.prediction_type = prediction_type
        self.betas = _betas(beta_schedule, beta_start, beta_end, num_train_timesteps)
        self.alphas_cumprod = torch.cumprod(1.0 - self.betas, dim=0)
        self._tables = ConstantTables()

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """Return x_t itself, which has unit variance where x0 has."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise (DDPM, equation 4); one timestep a row, or one for all."""
        signal, sigma = self.signal_and_noise(timesteps, original_samples)
        return signal * original_samples + sigma * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return v = sqrt(a_t) noise - sqrt(1 - a_t) x0 (arXiv 2202.00512, appendix D); `sample` is x0."""
        signal, sigma = self.signal_and_noise(timesteps, sample)
        return signal * noise - sigma * sample

    def prediction_target(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return x0, the noise or v, whichever the denoiser predicts; `sample` is x0."""
        match self.prediction_type:
            case "epsilon":
                return noise  # DDPM, equation 14
            case "v_prediction":
                return self.get_velocity(sample, noise, timesteps)
            case _:
                return sample

    def predict_original_sample(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """Return the x0 that a prediction implies.

        Args:
            model_output: the prediction, of type `prediction_type`.
            timestep: one for all rows, or (B,).
            sample: x_t.
        """
        signal, sigma = self.signal_and_noise(timestep, sample)
        match self.prediction_type:
            case "epsilon":
                return (sample - sigma * model_output) / signal  # DDPM, equation 15; DDIM, equation 9
            case "v_prediction":
                return signal * sample - sigma * model_output  # arXiv 2202.00512, appendix D
            case _:
                return model_output

    def from_original_sample(self, original_sample: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """Return the prediction that implies `original_sample`: the inverse of `predict_original_sample`."""
        signal, sigma = self.signal_and_noise(timestep, sample)
        match self.prediction_type:
            case "epsilon":
                return (sample - signal * original_sample) / sigma
            case "v_prediction":
                return (signal * sample - original_sample) / sigma
            case _:
                return original_sample

    def signal_and_noise(self, timestep: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(a_t) and sqrt(1 - a_t), shaped to multiply `like` (B, ...).

        Raises:
            ValueError: the one timestep for all rows lies outside 0 .. T - 1.
        """
        if isinstance(timestep, int) or (isinstance(timestep, Tensor) and timestep.dim() == 0):
            # A CPU scalar multiplies tensors on any device and keeps their type.
            cumprod = self.alphas_cumprod[self.check_timestep(timestep)]
        else:
            steps = torch.as_tensor(timestep, device=like.device)
            table = self._tables.get(like.device, lambda: self.alphas_cumprod.to(like.device))
            cumprod = table[steps]
            cumprod = cumprod.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
        return cumprod.sqrt(), (1.0 - cumprod).sqrt()

    def check_timestep(self, timestep: Any) -> int:
        """Return a single timestep as an int.

        Raises:
            ValueError: it lies outside 0 .. T - 1.
        """
        return _within(timestep, len(self.alphas_cumprod))


class FlowProcess:
    """Rectified flow: x_t = (1 - s_t) x0 + s_t noise (arXiv 2209.03003, section 2; flow matching, arXiv 2210.02747, equation 22).

    The path from x0 (s = 0) to noise (s = 1) is straight, and its velocity is noise - x0. Both papers count time the other
    way round, from noise to data. Timestep t is the level u = (t + 1) / T and, shifted, s_t = shift u / (1 + (shift - 1) u)
    (arXiv 2403.03206, equation 23).

    Args:
        num_train_timesteps: T.
        shift: above 1, more of the timesteps are noisy ones. In training and in sampling a timestep has the same s.
        prediction_type: what the denoiser predicts: ``flow_prediction`` (noise - x0) or ``sample`` (x0).

    Attributes:
        sigmas: (T,) float32 on the CPU, rising: s_t, the last one 1.
        alphas_cumprod: (T,) (1 - s)^2 / ((1 - s)^2 + s^2), the last one 0.

    Raises:
        ConfigError: a setting is out of range.
    """

    noise_process: ClassVar[str] = "flow"
    settings: ClassVar[tuple[str, ...]] = ("num_train_timesteps", "shift", "prediction_type")
    prediction_types: ClassVar[tuple[str, ...]] = ("flow_prediction", "sample")

    def __init__(
        self, num_train_timesteps: int = 1000, shift: float = 1.0, prediction_type: str = "flow_prediction"
    ) -> None:
        check_total(num_train_timesteps)
        if isinstance(shift, bool) or not isinstance(shift, int | float) or not 0 < shift < float("inf"):
            raise ConfigError(f"shift is {shift!r}; it must be a number above 0, 1 for no shift.")
        one_of("prediction_type", prediction_type, self.prediction_types)
        self.prediction_type = prediction_type
        levels = torch.arange(1, num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
        sigmas = shift * levels / (1 + (shift - 1) * levels)
        self.sigmas = sigmas.float()
        self._tables = ConstantTables()
        self.alphas_cumprod = ((1 - sigmas) ** 2 / ((1 - sigmas) ** 2 + sigmas**2)).float()

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """Return x_t / sqrt((1 - s)^2 + s^2), which has unit variance where x0 has; one timestep for all rows, or (B,)."""
        s = self.sigma(timestep, sample)
        return sample / ((1 - s) ** 2 + s**2) ** 0.5

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return x_t = (1 - s) x0 + s noise; one timestep a row, or one for all."""
        s = self.sigma(timesteps, original_samples)
        return (1 - s) * original_samples + s * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Any = None) -> Tensor:
        """Return v = noise - x0, the same at all timesteps (arXiv 2209.03003, equation 1); `sample` is x0."""
        return noise - sample

    def prediction_target(self, sample: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """Return x0 or the velocity, whichever the denoiser predicts; `sample` is x0."""
        return sample if self.prediction_type == "sample" else self.get_velocity(sample, noise, timesteps)

    def predict_original_sample(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """Return the x0 that a prediction implies.

        Args:
            model_output: the prediction, of type `prediction_type`.
            timestep: one for all rows, or (B,).
            sample: x_t, not scaled.
        """
        if self.prediction_type == "sample":
            return model_output
        return sample - self.sigma(timestep, sample) * model_output  # x_t = x0 + s (noise - x0), solved for x0

    def from_original_sample(self, original_sample: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """Return the prediction that implies `original_sample`: the inverse of `predict_original_sample`."""
        if self.prediction_type == "sample":
            return original_sample
        return (sample - original_sample) / self.sigma(timestep, sample)

    def sigma(self, timestep: Any, like: Tensor) -> Tensor:
        """Return s_t: a scalar for one timestep, (B, 1, ...) for several, to multiply `like` (B, ...).

        Raises:
            ValueError: the one timestep for all rows lies outside 0 .. T - 1.
        """
        if isinstance(timestep, int) or (isinstance(timestep, Tensor) and timestep.dim() == 0):
            # A CPU scalar multiplies tensors on any device and keeps their type.
            return self.sigmas[_within(timestep, len(self.sigmas))]
        steps = torch.as_tensor(timestep, device=like.device)
        table = self._tables.get((like.device, like.dtype), lambda: self.sigmas.to(like.device, like.dtype))
        return table[steps].reshape(-1, *[1] * (like.dim() - 1))


NOISE_PROCESSES: Mapping[str, type[DiffusionProcess] | type[FlowProcess]] = {
    process.noise_process: process for process in (DiffusionProcess, FlowProcess)
}
"""Each noise process by its name."""


def process_sampled_by(scheduler: Any) -> NoiseProcess:
    """Return the noise process that a scheduler samples, with the scheduler's settings.

    Args:
        scheduler: a `NoiseScheduler` or a scheduler of diffusers.

    Raises:
        ConfigError: the scheduler does not state its process, or a setting is out of range.
        PluginError: its `alphas_cumprod` is not that of the process it states.
    """
    process_class = NOISE_PROCESSES[noise_process_of(scheduler)]
    config = dict(scheduler.config)
    process = process_class(**{name: config[name] for name in process_class.settings if name in config})
    found = torch.as_tensor(scheduler.alphas_cumprod).float().cpu()
    # A denoiser trained on one process and sampled by another writes useless weights, without any error.
    if found.shape != process.alphas_cumprod.shape or not torch.allclose(found, process.alphas_cumprod, atol=1e-4):
        raise PluginError(
            f"{type(scheduler).__name__} states noise_process='{process.noise_process}', but its alphas_cumprod does not follow "
            f"from its settings {', '.join(process.settings)}; compute it as "
            f"tina_framework.interfaces.noise_process.{process_class.__name__} does."
        )
    return process


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is among `allowed`."""
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def check_total(total: object) -> None:
    """Raise ConfigError unless `total` can be `num_train_timesteps`."""
    if isinstance(total, bool) or not isinstance(total, int) or not 1 <= total <= MAX_TIMESTEPS:
        raise ConfigError(
            f"num_train_timesteps is {shorten(total)}; it must be an integer from 1 to {MAX_TIMESTEPS:,}."
        )


def _within(timestep: Any, total: int) -> int:
    t = int(timestep)
    if not 0 <= t < total:
        raise ValueError(f"Timestep {t} lies outside 0..{total - 1}.")
    return t


def _betas(schedule: str, start: float, end: float, steps: int) -> Tensor:
    if schedule == "linear":  # DDPM, section 4
        return torch.linspace(start, end, steps, dtype=torch.float32)
    if schedule == "scaled_linear":  # linear in the standard deviation (latent diffusion, arXiv 2112.10752)
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2

    def alpha_bar(time: float) -> float:  # arXiv 2102.09672, equation 17
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    # Capped at 0.999, as in the paper: the last beta would be 1, and dividing by sqrt(a_t) = 0 would follow.
    return torch.tensor([min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), 0.999) for i in range(steps)])
