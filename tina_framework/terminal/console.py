"""Print text. Results go to standard output, everything else to standard error.

Three rules hold for all that is printed. Text is never read as markup or emoji codes. Characters that a terminal would obey or
hide are escaped, because names may come from files of strangers. Printing never ends the program because of an encoding.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.measure import Measurement

from tina_framework.errors import TinaError, printable
from tina_framework.terminal.command_line import with_program

__all__ = [
    "MAX_MESSAGE",
    "OutputClosedError",
    "OutputError",
    "err_console",
    "flush_output",
    "json_documents",
    "make_console",
    "output_is_closed",
    "output_is_terminal",
    "prepare_streams",
    "print_error",
    "print_json",
    "print_line",
    "print_rendered",
    "silence_output",
]

MAX_MESSAGE = 2000
"""Number of characters after which an error or a warning is cut. A message may repeat a value of any length."""


_WIDEST = 10_000
"""Width of a line, in characters, that counts as unlimited."""


class OutputError(TinaError):
    """Standard output cannot be written, for example because a disk is full."""


class OutputClosedError(TinaError):
    """The reader of standard output has gone away, as in ``tina list | head -1``. The program then ends without a word."""

    exit_code = 141


class _Console(Console):
    """A console that leaves a closed pipe to its caller. That of rich would end the program."""

    def on_broken_pipe(self) -> None:
        raise  # called while a BrokenPipeError is handled


def make_console(*, stderr: bool = False, **settings: Any) -> Console:
    """Return a console that prints text verbatim. Every console of the package is made here."""
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False, **settings)


err_console = make_console(stderr=True)
"""Shared, so that a message is printed above a progress bar and not into it."""


def prepare_streams() -> None:
    """Let no character end the program: one that the encoding lacks is printed as an escape such as ``\\u82f9``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A closed stream. Its number would be given to the next file that is opened, and printing would write into that.
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(text: str = "") -> None:
    """Print one line on standard output. It is not wrapped, so that paths can be copied.

    Raises:
        OutputError: standard output cannot be written.
        OutputClosedError: its reader has gone away.
    """
    with _writing_output():
        sys.stdout.write(printable(text) + "\n")


def print_json(value: Any) -> None:
    """Print `value` on standard output as JSON, in ASCII, so that any program can read it.

    Raises:
        ValueError: it contains NaN or infinity, which JSON does not have.
        OutputError: standard output cannot be written.
        OutputClosedError: its reader has gone away.
    """
    global _json_documents
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    _json_documents += 1
    with _writing_output():
        sys.stdout.write(text + "\n")


_json_documents = 0


def json_documents() -> int:
    """Return how many JSON documents `print_json` has printed in this process."""
    return _json_documents


def print_rendered(renderable: Any) -> None:
    """Print something of rich, such as a table, on standard output. Its texts must be printable.

    No word is ever broken, so that paths and names can be copied. In a narrow terminal, a line that cannot be folded between
    words is longer than the terminal is wide. Without a terminal nothing is folded at all.

    Raises:
        OutputError: standard output cannot be written.
        OutputClosedError: its reader has gone away.
    """
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDEST
    # rich would break words to make a table fit. The terminal continues a long line by itself, without a line break in it.
    unlimited = console.options.update_width(_WIDEST)
    console.width = max(console.width, Measurement.get(console, unlimited, renderable).minimum)
    with _writing_output():
        console.print(renderable)


def print_error(message: str, *, longest: int | None = MAX_MESSAGE) -> None:
    """Print a message on standard error. It is not wrapped, but cut after `longest` characters (None: never).

    Commands in it are printed as the user has to type them; see `with_program`. The message is lost if standard error cannot be written: there is no other place for it.
    """
    message = with_program(message)
    if longest is not None and len(message) > longest:
        message = f"{message[:longest]} ... (cut; the message has {len(message):,} characters)"
    with contextlib.suppress(OSError):
        err_console.print(printable(message), soft_wrap=True)


def flush_output() -> None:
    """Write out what standard output still holds.

    Raises:
        OutputError: standard output cannot be written.
        OutputClosedError: its reader has gone away.
    """
    with _writing_output():
        sys.stdout.flush()


@contextlib.contextmanager
def _writing_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError("The reader of standard output has gone away.") from error
    except OSError as error:
        raise OutputError(f"Standard output cannot be written ({error.strerror or error}).") from error


def output_is_closed() -> bool:
    """Return whether the reader of standard output has gone away. Only known for pipes, and not on Windows."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no such call, or no file, as in a test
        return False


def output_is_terminal() -> bool:
    """Return whether standard output is a terminal, so that a person reads it."""
    return make_console().is_terminal


def silence_output() -> None:
    """Throw away what standard output still holds. Python would otherwise complain about it when it exits."""
    with contextlib.suppress(OSError, ValueError):  # it is no file, as in a test
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
