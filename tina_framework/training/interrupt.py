"""Stop a run in order, on a signal or after a time limit. All processes stop at the same step."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from accelerate.utils import gather_object  # type: ignore[import-untyped]

__all__ = ["StopRequest"]


class StopRequest:
    """A request to stop the run after the current step.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        max_seconds: time limit in seconds, counted from now; None for no limit.

    Attributes:
        reason: why the run has to stop; empty as long as it may continue.
    """

    def __init__(self, accelerator: Any, max_seconds: float | None) -> None:
        self.reason = ""
        self._accelerator = accelerator
        self._max_seconds = max_seconds
        self._begin = time.perf_counter()

    def agreed(self) -> bool:
        """Return whether any process has to stop. All processes must call this at the same step."""
        limit = self._max_seconds
        if limit is not None and time.perf_counter() - self._begin > limit:
            self.reason = self.reason or f"max_seconds={limit:g} have passed"
        # A signal may reach the processes at different steps. They must stop together, or the last one waits forever.
        if self._accelerator.num_processes > 1:
            reasons = [reason for reason in gather_object([self.reason]) if reason]
            self.reason = reasons[0] if reasons else ""
        return bool(self.reason)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for SIGINT and SIGTERM in this context: the first requests a stop, the second interrupts at once."""
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: Any) -> None:
            if self.reason:
                raise KeyboardInterrupt
            self.reason = f"{signal.Signals(number).name} received"

        try:
            for number in before:
                signal.signal(number, handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
