"""Run a program: exit codes, errors in one sentence or as JSON, ``--debug``, and signals.

With ``--json``, standard output holds exactly one JSON document: the result, or ``{"error": {"type": ..., "message": ...,
"exit_code": ...}}``. The sentence is on standard error in both cases.

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
from typing import Any, NamedTuple

from tina_framework.errors import Terminated, UsageError, explain
from tina_framework.terminal.command_line import remember_arguments, with_program
from tina_framework.terminal.console import (
    OutputClosedError,
    OutputError,
    flush_output,
    json_documents,
    output_is_closed,
    prepare_streams,
    print_error,
    print_json,
    silence_output,
)

__all__ = ["run_program"]


def run_program(body: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """Call `body` with the arguments, without ``--debug``, and return the exit code.

    An error is printed in one sentence on standard error. With ``--debug`` its traceback comes first. With ``--json`` the
    error is also printed on standard output as JSON, unless the result was printed there.

    Args:
        body: does the work and returns an exit code.
        arguments: the words after the program's name.
    """
    words, debug = _take_debug(arguments)
    remember_arguments(words)
    prepare_streams()
    before = json_documents()
    with _warnings_in_one_line(), _log_in_one_line(), _termination_raises():
        try:
            code = body(words)
            flush_output()
            # A command that prints its errors itself returns only the code.
            failure = _Failure("Exit", f"The command ended with exit code {code}.", code)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in _INTERRUPTED):
                _end_at_next_interrupt()
            failure = _report(error, debug)
        if failure.code and _wants_json(words) and json_documents() == before:
            _print_failure(failure)
        return failure.code


class _Failure(NamedTuple):
    """Why the program ends: the class of the error, the sentence, and the exit code."""

    kind: str
    message: str
    code: int


def _print_failure(failure: _Failure) -> None:
    # The sentence was printed already, so nothing is lost if this cannot be written.
    with contextlib.suppress(OutputError, OutputClosedError):
        print_json({"error": {"type": failure.kind, "message": failure.message, "exit_code": failure.code}})
        flush_output()
        return
    silence_output()


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
    given, end = list(arguments), _end_of_options(arguments)
    options = [argument for argument in given[:end] if argument != "--debug"]
    return options + given[end:], len(options) < end


def _end_of_options(arguments: Sequence[str]) -> int:
    """Return the position of ``--``, or the number of arguments."""
    return list(arguments).index("--") if "--" in arguments else len(arguments)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Return whether ``--json`` is among the arguments. They may be wrong, so nothing else is known about them."""
    return "--json" in arguments[: _end_of_options(arguments)]


def _report(error: BaseException, debug: bool) -> _Failure:
    """Print why the program ends, and return it."""
    error = _cause_in_output(error)
    kind = type(error).__name__
    if isinstance(error, OutputClosedError):
        silence_output()
        return _Failure(kind, str(error), error.exit_code)
    # What was printed before the error comes first. It is lost if it cannot be written, but then this error matters more.
    try:
        flush_output()
    except (OutputError, OutputClosedError):
        silence_output()
    if isinstance(error, SystemExit):
        code = _exit_code(error)
        return _Failure("Exit", str(error.code) if isinstance(error.code, str) else f"It ended with code {code}.", code)
    # Where a wrong command line was found helps nobody.
    if debug and not isinstance(error, UsageError):
        print_error("".join(traceback.format_exception(error)).rstrip("\n"), longest=None)
    sentence, code = explain(error)
    print_error(sentence)
    message = " ".join(with_program(sentence).removeprefix("Error: ").splitlines())
    return _Failure(kind, message, code)


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
