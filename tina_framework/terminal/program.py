"""Run a program: exit codes, errors in one sentence, ``--debug``, and signals.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted (Ctrl-C), 141 the reader of the output went away, 143 terminated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tina_framework.errors import Terminated, explain
from tina_framework.terminal.console import (
    OutputClosedError,
    OutputError,
    flush_output,
    output_is_closed,
    prepare_streams,
    print_error,
    silence_output,
)

__all__ = ["run_program"]


def run_program(body: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """Call `body` with the arguments, without ``--debug``, and return the exit code.

    An error is printed in one sentence on standard error. With ``--debug`` its traceback comes first.

    Args:
        body: does the work and returns an exit code.
        arguments: the words after the program's name.
    """
    words, debug = _take_debug(arguments)
    prepare_streams()
    with _warnings_in_one_line(), _log_in_one_line(), _termination_raises():
        try:
            code = body(words)
            flush_output()
            return code
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in _INTERRUPTED):
                _end_at_next_interrupt()
            return _report(error, debug)


_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit codes of a body that stopped in order."""


def _end_at_next_interrupt() -> None:
    """Let the system end the process at the next Ctrl-C. Python would print a traceback while it shuts down."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Remove ``--debug`` from the arguments. Returns the other arguments, and whether it was among them.

    It is accepted anywhere before a ``--``, because users add it at the end of the line after a failure.
    """
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    options = [argument for argument in given[:end] if argument != "--debug"]
    return options + given[end:], len(options) < end


def _report(error: BaseException, debug: bool) -> int:
    """Print why the program ends, and return the exit code."""
    error = _cause_in_output(error)
    if isinstance(error, OutputClosedError):
        silence_output()
        return error.exit_code
    # What was printed before the error comes first. It is lost if it cannot be written, but then this error matters more.
    try:
        flush_output()
    except (OutputError, OutputClosedError):
        silence_output()
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if debug:
        print_error("".join(traceback.format_exception(error)).rstrip("\n"), longest=None)
    sentence, code = explain(error)
    print_error(sentence)
    return code


def _cause_in_output(error: BaseException) -> BaseException:
    """Return an error of standard output as such, and other errors unchanged.

    Plugins print by themselves, so a closed output may come as a plain BrokenPipeError. So may a closed pipe between processes.
    """
    # The help pages are printed by a console of rich, which ends the program in place of raising the error.
    ended = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if ended or (isinstance(error, BrokenPipeError) and output_is_closed()):
        return OutputClosedError("The reader of standard output has gone away.")
    return error


def _exit_code(error: SystemExit) -> int:
    """Return the code of `sys.exit`, which also takes None and a message."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print_error(str(error.code))
    return 1


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show warnings as sentences. Python would show the line of code that raised them."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **others: Any) -> None:
        print_error(f"Warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        # Pillow warns before the picture is refused for its size, with an error that says more.
        warnings.filterwarnings("ignore", message="Image size .* could be decompression bomb")
        yield


class _LogHandler(logging.Handler):
    """Print log messages as errors are printed: escaped and cut."""

    def emit(self, record: logging.LogRecord) -> None:
        print_error(f"{record.levelname.capitalize()}: {record.getMessage()}")


@contextlib.contextmanager
def _log_in_one_line() -> Iterator[None]:
    """Print the warnings that the package logs, for example about broken plugins."""
    log, handler = logging.getLogger("tina_framework"), _LogHandler(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


_AGAIN_SECONDS = 0.02


def _is_swallowed(frame: Any) -> bool:
    """Return whether an exception in a frame would be swallowed: in a destructor, or in a callback of a weak reference."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _termination_raises() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that temporary files are removed before the program ends."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers in the main thread only
        yield
        return

    def terminate(number: int, frame: Any) -> None:
        if _is_swallowed(frame):
            # Python prints what a destructor raises, and goes on. So the signal is sent again, until it comes elsewhere.
            again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        raise Terminated(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A program that `nohup` started ignores SIGHUP, and goes on doing so.
    changed = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
