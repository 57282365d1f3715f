"""On which machine and when something was measured, without host or user names."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

__all__ = ["busy_warning", "describe_machine", "now"]


def _processor() -> str:
    """Return the model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_warning() -> str | None:
    """Return a warning if other programs used the processor in the last minute; None otherwise.

    Times that are measured on a busy machine are too long.
    """
    if not hasattr(os, "getloadavg"):
        return None
    load, cores = os.getloadavg()[0], _cores()
    if load <= 0.5 * cores:
        return None
    return (
        f"The machine had a load of {load:.1f} on {cores} cores when this began; the times are those of a busy machine."
    )


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return processor, cores, threads, accelerator and versions, as JSON values."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
