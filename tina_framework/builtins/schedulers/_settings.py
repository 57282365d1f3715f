"""What the built-in schedulers share: their configuration, the check of it, and the choice of timesteps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from tina_framework.errors import ConfigError, shorten

__all__ = ["SchedulerConfig", "check_steps", "read_config", "trailing"]


class SchedulerConfig(dict[str, Any]):
    """A plain dict whose entries can also be read as attributes, as with diffusers' configurations."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def check_steps(steps: object, total: int) -> None:
    """Raise ConfigError unless `total` timesteps can be sampled in `steps` steps."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= total:
        raise ConfigError(
            f"num_inference_steps is {shorten(steps)}; this scheduler was made for 1 to {total} (num_train_timesteps)."
        )


def trailing(steps: int, total: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return (S,) falling timesteps in equal steps, the first T - 1 (arXiv 2305.08891, table 2)."""
    # Rounding can make `arange` one longer than asked for (61 of 1000, say).
    return (np.round(np.arange(total, 0, -total / steps))[:steps] - 1).astype(np.int64)


def read_config(
    scheduler: type, config: Mapping[str, Any], switched_off: Mapping[str, Any], without_effect: frozenset[str]
) -> dict[str, Any]:
    """Pick the arguments of a scheduler out of a configuration, which may be one of diffusers.

    Args:
        scheduler: the class.
        config: the configuration of any scheduler.
        switched_off: settings that are not implemented -> the one value that is allowed.
        without_effect: settings to leave out.

    Raises:
        ConfigError: a setting is unknown or not implemented.
    """
    known = inspect.signature(scheduler).parameters.keys()
    chosen = {}
    for name, value in config.items():
        if name in known:
            chosen[name] = value
        elif name in switched_off:
            if value != switched_off[name]:
                raise ConfigError(
                    f"{scheduler.__name__} has no {name}={shorten(value)}; only {shorten(switched_off[name])} is possible."
                )
        elif name not in without_effect and not name.startswith("_"):
            raise ConfigError(f"{scheduler.__name__} has no setting '{name}'. Known: {', '.join(sorted(known))}.")
    return chosen
