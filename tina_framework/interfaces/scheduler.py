"""Noise schedulers, with diffusers' names and meaning, so that any scheduler of diffusers fits.

A scheduler samples one of two noise processes (`tina_framework.interfaces.noise_process`) backwards, from noise to x0. It
need not know how a denoiser is trained: training follows from the process that it states and from its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tina_framework.errors import ConfigError, PluginError, TinaError, reason_of, shorten

if TYPE_CHECKING:
    import torch

__all__ = [
    "PROCESS_NAMES",
    "NoiseScheduler",
    "SchedulerOutput",
    "StepOutput",
    "chosen_timesteps",
    "next_sample",
    "noise_process_of",
]

PROCESS_NAMES = ("diffusion", "flow")
"""What `NoiseScheduler.noise_process` may be."""


class SchedulerOutput(Protocol):
    """What `NoiseScheduler.step` returns at least."""

    prev_sample: torch.Tensor


@dataclass(frozen=True)
class StepOutput:
    """A `SchedulerOutput` that plugins may use.

    Attributes:
        prev_sample: x at the next, less noisy timestep; same shape as the sample.
        pred_original_sample: the x0 that the prediction implies.
    """

    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor


class NoiseScheduler(Protocol):
    """A sampler of one noise process. Stateful after `set_timesteps`: use a fresh instance for each run.

    Attributes:
        noise_process: ``diffusion`` (variance-preserving, as in DDPM) or ``flow`` (rectified flow). Training asks for it.
        config: all settings of the constructor, JSON-serialisable. Among them are those of the noise process:
            `num_train_timesteps` and `prediction_type`; `beta_start`, `beta_end` and `beta_schedule` of diffusion;
            `shift` of flow.
        timesteps: (S,) int64, decreasing; set by `set_timesteps`.
        alphas_cumprod: (T,) share of signal left at each training timestep, in variance: `scale_model_input` makes
            sqrt(a_t) x0 + sqrt(1 - a_t) noise of what `add_noise` made. A denoiser sees nothing else.
        init_noise_sigma: standard deviation of the initial noise.
    """

    noise_process: str
    config: Any
    timesteps: torch.Tensor
    alphas_cumprod: torch.Tensor
    init_noise_sigma: Any

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Choose S of the T timesteps to sample at."""
        ...

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """Return x_t at unit variance, as the denoiser reads it."""
        ...

    def add_noise(self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return x_t of a clean x0; timesteps (B,)."""
        ...

    def step(self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *, generator: Any = None) -> Any:
        """Return a `SchedulerOutput` with x at the next timestep, given the denoiser's prediction at x_t (`sample`)."""
        ...


def chosen_timesteps(scheduler: NoiseScheduler, num_inference_steps: int) -> torch.Tensor:
    """Let a scheduler choose its timesteps (S,), and return them.

    Raises:
        PluginError: it fails, or its `timesteps` is not a tensor of at least one timestep.
    """
    name = type(scheduler).__name__
    try:
        scheduler.set_timesteps(num_inference_steps)
    except (TinaError, MemoryError):
        raise
    except Exception as error:  # code of a plugin may raise anything
        raise PluginError(
            f"{name} cannot choose {num_inference_steps} of its timesteps ({reason_of(error)}); use another scheduler, or mend it."
        ) from error
    timesteps = scheduler.timesteps
    if getattr(timesteps, "ndim", None) != 1 or not hasattr(timesteps, "device") or not len(timesteps):
        raise PluginError(
            f"{name}.timesteps is {shorten(timesteps)} after set_timesteps({num_inference_steps}); it must be a tensor (S,)."
        )
    return timesteps


def next_sample(
    scheduler: NoiseScheduler, model_output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, **extra: Any
) -> torch.Tensor:
    """Return the sample at the next timestep, from `NoiseScheduler.step`.

    Raises:
        PluginError: the step fails, or returns something without a `prev_sample` of the sample's shape.
    """
    name = type(scheduler).__name__
    try:
        output = scheduler.step(model_output, timestep, sample, **extra)
    except (TinaError, MemoryError):
        raise
    except Exception as error:  # code of a plugin may raise anything
        raise PluginError(
            f"{name}.step failed at timestep {timestep} ({reason_of(error)}); use another scheduler, or mend it."
        ) from error
    following: Any = getattr(output, "prev_sample", None)
    if not hasattr(following, "shape") or following.shape != sample.shape:
        raise PluginError(
            f"{name}.step returned {shorten(output)}; return an object with prev_sample of the shape {tuple(sample.shape)}, "
            "such as a StepOutput."
        )
    result: torch.Tensor = following
    return result


def noise_process_of(scheduler: Any) -> str:
    """Return the noise process that a scheduler samples: ``diffusion`` or ``flow``.

    Schedulers of diffusers have no attribute `noise_process`. Theirs follows from their settings: betas belong to diffusion,
    a shift without betas to rectified flow.

    Raises:
        ConfigError: the scheduler states none, or one that does not exist.
    """
    stated = getattr(scheduler, "noise_process", None)
    if stated is None:
        config = getattr(scheduler, "config", {})
        if not hasattr(config, "keys"):
            raise ConfigError(
                f"{type(scheduler).__name__} has config={shorten(config)}; it must be a dict of its settings."
            )
        stated = _from_settings(dict(config))
    if stated not in PROCESS_NAMES:
        raise ConfigError(
            f"{type(scheduler).__name__} has noise_process={stated!r}, so it is unknown what it samples; "
            f"set its attribute noise_process to one of {', '.join(map(repr, PROCESS_NAMES))}."
        )
    return str(stated)


def _from_settings(config: Mapping[str, Any]) -> str | None:
    """The process of a scheduler of diffusers, None if its settings do not tell."""
    if config.get("use_flow_sigmas"):  # solvers such as UniPC can sample either process
        return "flow"
    # The name of a switch, e.g. use_beta_sigmas, is no setting of a noise process.
    if any("beta" in name and not name.startswith("use_") for name in config):
        return "diffusion"
    return "flow" if "shift" in config else None
