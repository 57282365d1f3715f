"""Whole numbers that callers give: NumPy and torch scalars become plain integers, everything else is refused."""

from __future__ import annotations

import operator
from typing import Any

from tina_framework.errors import ConfigError, shorten

__all__ = ["MAX_SEED", "MAX_TIMESTEPS", "check_seed", "plain_number", "whole_number"]

MAX_SEED = 2**63 - 1
"""Largest seed. torch takes no larger ones."""

MAX_TIMESTEPS = 100_000
"""Maximum number of timesteps of a noise process, a hundred times the usual number. Every scheduler keeps tables of that length."""


def whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    """Return a whole number as a plain `int`, which can be stored in JSON.

    Args:
        value: an `int`, or a scalar of NumPy or torch.
        name: what it is, for the message.
        least: the smallest value that is allowed.
        most: the largest one; None: any.

    Raises:
        ConfigError: it is no whole number, a truth value, or out of range.
    """
    found = _index(value)
    if found is None or found < least or (most is not None and found > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        raise ConfigError(f"{name} is {shorten(value)}; it must be a whole number {limits}.")
    return found


def check_seed(value: Any) -> int:
    """Return a seed as a plain `int`.

    Raises:
        ConfigError: it is not a whole number from 0 to 2^63 - 1.
    """
    found = _index(value)
    if found is None or not 0 <= found <= MAX_SEED:
        raise ConfigError(f"The seed is {shorten(value)}; it must be a whole number from 0 to 2^63 - 1.")
    return found


def plain_number(value: Any) -> Any:
    """Return a scalar of NumPy or torch as the Python number it stands for, and any other value unchanged."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _index(value: Any) -> int | None:
    # Python takes True as 1, but as a number of steps it is a mistake.
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return None
