"""Choose the device that networks run on, and whether many of them run together there."""

from __future__ import annotations

import os

import torch

from tina_framework.errors import ConfigError

__all__ = ["FORCE_BATCHED_VARIABLE", "resolve_device", "runs_batched"]

FORCE_BATCHED_VARIABLE = "TINA_FORCE_BATCHED"
"""Environment variable: 1 runs many target networks together on the CPU, too."""


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device. ``auto`` is CUDA if available, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: the machine has no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)  # fails now, with a clear message, if the device is absent
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"Device '{device}' cannot be used ({reason}); try 'auto' or 'cpu'.") from error
    return chosen


def runs_batched(device: torch.device) -> bool:
    """Return whether many target networks run together under vmap, as on a GPU, or one by one, as on a CPU.

    ``TINA_FORCE_BATCHED=1`` runs the code of a GPU on a CPU, to test it. It is slower there, and results differ by rounding.
    """
    return device.type != "cpu" or os.environ.get(FORCE_BATCHED_VARIABLE, "") not in ("", "0")
