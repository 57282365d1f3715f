"""Stop a long command cleanly on Ctrl-C or SIGTERM, and at once on the second one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import typer

from tina_framework.cli.output import print_error

__all__ = ["clean_stop"]


class _Stopped(KeyboardInterrupt):
    """A signal asked the program to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def clean_stop(advice: str) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into one sentence, and the exit code 130 or 143.

    The first signal raises an exception, so that files and processes are closed. The system handles the second one: it
    ends the program at once, whatever it is doing.

    Args:
        advice: what follows the reason in the message.
    """
    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise _Stopped(number)

    try:
        for each in before:
            signal.signal(each, handle)
        yield
    except _Stopped as stop:
        print_error(f"Stopped by {signal.Signals(stop.number).name}. {advice}")
        raise typer.Exit(128 + stop.number) from None
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
