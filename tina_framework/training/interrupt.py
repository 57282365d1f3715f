"""Ending a run in order: on an interrupt or after a time, agreed on by all processes."""

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
    """Whether the run has to end after the present step, and why.

    Args:
        accelerator: Accelerate's.
        max_seconds: time limit from now on, or None.

    Attributes:
        reason: empty as long as nobody asked.
    """

    def __init__(self, accelerator: Any, max_seconds: float | None) -> None:
        self.reason = ""
        self._accelerator = accelerator
        self._max_seconds = max_seconds
        self._begin = time.perf_counter()

    def agreed(self) -> bool:
        """Whether any process has to stop; to be called by all of them at the same step."""
        limit = self._max_seconds
        if limit is not None and time.perf_counter() - self._begin > limit:
            self.reason = self.reason or f"max_seconds={limit:g} are over"
        if self._accelerator.num_processes > 1:
            reasons = [reason for reason in gather_object([self.reason]) if reason]
            self.reason = reasons[0] if reasons else ""
        return bool(self.reason)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks to stop, the second one interrupts at once."""
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
