"""Stop a run in order, on a signal or after a time limit. All processes stop at the same step."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from accelerate.utils import gather_object

__all__ = ["StopRequest"]

_SAME_REQUEST_SECONDS = 1.0
"""A launcher passes on the Ctrl-C that its processes got from the terminal as well. Both are the same request."""


class StopRequest:
    """A request to stop the run after the current step.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        max_seconds: time limit in seconds, counted from now; None for no limit.

    Attributes:
        reason: why the run has to stop; empty as long as it may continue.
        signal: number of the signal that asked for it, 0 if there was none.
    """

    def __init__(self, accelerator: Any, max_seconds: float | None) -> None:
        self.reason = ""
        self.signal = 0
        self._accelerator = accelerator
        self._max_seconds = max_seconds
        self._begin = time.perf_counter()
        self._asked = 0.0

    def agreed(self) -> bool:
        """Return whether any process has to stop. All processes must call this at the same step."""
        limit = self._max_seconds
        if limit is not None and time.perf_counter() - self._begin > limit:
            self.reason = self.reason or f"max_seconds={limit:g} have passed"
        # A signal may reach the processes at different steps. They must stop together, or the last one waits forever.
        if self._accelerator.num_processes > 1:
            requests = [request for request in gather_object([(self.reason, self.signal)]) if request[0]]
            self.reason, self.signal = requests[0] if requests else ("", 0)
            self._asked = self._asked or time.monotonic()
        return bool(self.reason)

    @property
    def exit_code(self) -> int:
        """Return 0, or 128 and the number of the signal, as shells report it."""
        return 128 + self.signal if self.signal else 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for SIGINT and SIGTERM in this context: the first requests a stop, the second ends the process at once.

        Ending at once is safe: whatever was being written is a temporary file, which the next run removes.
        """
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: Any) -> None:
            now = time.monotonic()
            if not self.signal:
                name = signal.Signals(number).name
                self.reason, self.signal, self._asked = f"{name} received", number, now
                if self._accelerator.is_main_process:
                    # Written directly: a print that this signal interrupted must not be entered a second time.
                    _write(
                        f"\n{name}: the run stops after this step and saves. Repeat to end at once, without saving.\n"
                    )
            elif now - self._asked > _SAME_REQUEST_SECONDS:
                _end_at_once(number)

        try:
            for number in before:
                signal.signal(number, handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end_at_once(number: int) -> None:
    """Let the system end this process, which also ends threads that compute."""
    _write("\x1b[?25h" if os.isatty(2) else "")  # the progress display hid the cursor
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
