"""Measuring the peak memory of some work, above what was in use when it began."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import torch

__all__ = ["PeakMemory"]

_PROCESS = Path("/proc/self")


class PeakMemory:
    """A context that can be entered repeatedly. `peak` is the greatest peak so far.

    On a GPU it measures what torch allocates. On Linux it measures the resident memory of the process. That does not
    grow where memory is reused that was freed before, so small figures are lower bounds. On other systems the peak is
    unknown.

    Args:
        device: where the work is done.

    Attributes:
        peak: bytes. None: unknown, or the context was never entered.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peak: int | None = None
        self._start: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
        else:
            self._start = _resident("VmRSS") if self.device.type == "cpu" and _reset() else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._start is None:
            return
        high = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else _resident("VmHWM")
        if high is not None:
            self.peak = max(self.peak or 0, high - self._start)


def _reset() -> bool:
    """Set the recorded peak of the process to what it uses now (proc(5), ``clear_refs``: 5).

    Return whether that worked.
    """
    try:
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident(key: str) -> int | None:
    """Return the bytes under ``VmRSS`` (now) or ``VmHWM`` (peak) of the process' status."""
    try:
        lines = (_PROCESS / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{key}:")]
    return 1024 * int(found[0][1]) if found else None  # the kernel's kB are 1024 bytes
