"""Stop a run in order, on a signal or after a time limit. All processes stop at the same step."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["StopRequest", "ignoring_signals"]

_SAME_REQUEST_SECONDS = 1.0
"""A launcher passes on the Ctrl-C that its processes got from the terminal as well. Both are the same request."""


_TIME_LIMIT = -1
"""The request to stop because of `max_seconds`. Other requests are numbers of signals."""


class StopRequest:
    """A request to stop the run after the current step.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        max_seconds: time limit in seconds, counted from now; None for no limit.

    Attributes:
        reason: why the processes agreed to stop; empty as long as the run may continue.
        signal: number of the signal that asked for it, 0 if there was none.
    """

    def __init__(self, accelerator: Any, max_seconds: float | None) -> None:
        self.reason = ""
        self.signal = 0
        self._accelerator = accelerator
        self._max_seconds = max_seconds
        self._begin = time.perf_counter()
        self._received = 0
        self._asked = 0.0

    def own(self) -> int:
        """Return the request of this process: the number of a signal, -1 after the time limit, or 0."""
        late = self._max_seconds is not None and time.perf_counter() - self._begin > self._max_seconds
        return self._received or (_TIME_LIMIT if late else 0)

    def agreed(self, requests: Sequence[int]) -> bool:
        """Return whether any process has to stop. All processes must call this at the same step.

        Args:
            requests: `own` of each process, exchanged during this step. Ignored with one process, which calls `own` again.
        """
        # A signal may reach the processes at different steps. They must stop together, or the last one waits forever.
        # So a request that came after the exchange counts in the next step.
        if self._accelerator.num_processes == 1:
            requests = [self.own()]
        request = next((request for request in requests if request), 0)
        if request == _TIME_LIMIT:
            self.reason = f"max_seconds={self._max_seconds:g} have passed"
        elif request:
            self.reason, self.signal = f"{signal.Signals(request).name} received", request
            # A launcher may pass the signal on to this process only now.
            self._asked = self._asked or time.monotonic()
        return bool(request)

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
            if not self._received and not self.signal:
                name = signal.Signals(number).name
                self._received, self._asked = number, now
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


@contextlib.contextmanager
def ignoring_signals() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM in this context, which must be short. For the last lines of a run that a signal stopped.

    A launcher may repeat the signal this late. Python would then print a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
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
