"""The settings that every sampler here takes: those of the noise process. Nothing of diffusers is needed to check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tina_framework.errors import ConfigError

__all__ = ["BETA_SCHEDULES", "PREDICTION_TYPES", "check_settings"]

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


def check_settings(settings: dict[str, Any]) -> None:
    """Refuses what diffusers would take silently, or with a traceback.

    Args:
        settings: the arguments of `DiffusersSampler`.

    Raises:
        ConfigError: one is out of range, or would cut off weights.
    """
    for name in ("clip_sample", "thresholding"):
        if settings[name] is not False:
            raise ConfigError(
                f"{name} is {settings[name]!r}; weights are not pixels and must not be cut off, so it can only be False."
            )
    steps = settings["num_train_timesteps"]
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"num_train_timesteps is {steps!r}; it must be an integer of at least 1.")
    start, end = settings["beta_start"], settings["beta_end"]
    if not 0.0 < start <= end < 1.0:
        raise ConfigError(
            f"beta_start is {start} and beta_end {end}; they must satisfy 0 < beta_start <= beta_end < 1."
        )
    _one_of("beta_schedule", settings["beta_schedule"], BETA_SCHEDULES)
    _one_of("prediction_type", settings["prediction_type"], PREDICTION_TYPES)


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
