"""Stop a long command cleanly on Ctrl-C or SIGTERM, and at once on the second one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tina_framework.errors import Stopped

__all__ = ["clean_stop"]


class _Signal(KeyboardInterrupt):
    """A signal asked the program to stop. Its argument is the number of the signal."""


@contextlib.contextmanager
def clean_stop(advice: Callable[[], str]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, which ends the program with one sentence and the exit code 130 or 143.

    The first signal raises an exception, so that files and processes are closed. The system handles the second one: it
    ends the program at once, whatever it is doing.

    Args:
        advice: returns what follows the reason in the message. It is called when everything is closed.

    Raises:
        Stopped: a signal came.
    """
    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise _Signal(number)

    try:
        for each in before:
            signal.signal(each, handle)
        yield
    except _Signal as stop:
        raise Stopped(stop.args[0], advice()) from None
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
