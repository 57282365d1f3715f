"""What all schedulers share: their configuration, the check of it, and which timesteps are sampled at."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tina_framework.errors import ConfigError

__all__ = ["SchedulerConfig", "StepOutput", "check_steps", "check_total", "one_of", "read_config", "trailing"]


class SchedulerConfig(dict[str, Any]):
    """A plain dict whose entries can also be read as attributes, as with diffusers' configurations."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class StepOutput:
    """What one step of a sampler gives.

    Attributes:
        prev_sample: x at the next, less noisy timestep; same shape as the sample.
        pred_original_sample: the x0 that the prediction stands for.
    """

    prev_sample: Tensor
    pred_original_sample: Tensor


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raises ConfigError unless `value` is among `allowed`."""
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def check_total(total: object) -> None:
    """Raises ConfigError unless it will do as `num_train_timesteps`."""
    if isinstance(total, bool) or not isinstance(total, int) or total < 1:
        raise ConfigError(f"num_train_timesteps is {total!r}; it must be an integer of at least 1.")


def check_steps(steps: object, total: int) -> None:
    """Raises ConfigError unless `total` timesteps can be sampled in `steps` steps."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= total:
        raise ConfigError(
            f"num_inference_steps is {steps!r}; this scheduler was made for 1 to {total} (num_train_timesteps)."
        )


def trailing(steps: int, total: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(S,) falling timesteps in equal steps, the first T - 1 (table 2 of arXiv 2305.08891)."""
    # Rounding can make `arange` one longer than asked for (61 of 1000, say).
    return (np.round(np.arange(total, 0, -total / steps))[:steps] - 1).astype(np.int64)


def read_config(
    scheduler: type, config: Mapping[str, Any], switched_off: Mapping[str, Any], without_effect: frozenset[str]
) -> dict[str, Any]:
    """The arguments that a configuration, perhaps diffusers', has for a scheduler.

    Args:
        scheduler: the class.
        config: of any scheduler.
        switched_off: settings that are not built, with the value that is allowed.
        without_effect: settings to leave out.

    Raises:
        ConfigError: a setting is unknown or not built.
    """
    known = inspect.signature(scheduler).parameters.keys()
    chosen = {}
    for name, value in config.items():
        if name in known:
            chosen[name] = value
        elif name in switched_off:
            if value != switched_off[name]:
                raise ConfigError(
                    f"{scheduler.__name__} has no {name}={value!r}; only {switched_off[name]!r} is possible."
                )
        elif name not in without_effect and not name.startswith("_"):
            raise ConfigError(f"{scheduler.__name__} has no setting '{name}'. Known: {', '.join(sorted(known))}.")
    return chosen
