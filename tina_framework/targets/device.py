"""Choose the device that networks run on."""

from __future__ import annotations

import torch

from tina_framework.errors import ConfigError

__all__ = ["resolve_device"]


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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"Device '{device}' cannot be used ({reason}); try 'auto' or 'cpu'.") from error
    return chosen
