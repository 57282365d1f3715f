"""Run the code of a plugin so that it can neither hang nor end the program, nor write into its output."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from tina_framework.errors import ConfigError, reason_of

__all__ = ["TIMEOUT", "PluginStopped", "guarded", "leave_out", "own_output", "seconds_to_load", "why_stopped"]

TIMEOUT = "TINA_PLUGIN_TIMEOUT"
"""Environment variable: how many seconds a plugin may take to load; 0 for no limit."""

_SECONDS = 60.0
_GRACE = 5.0
"""Seconds that an interrupted plugin has for ending. After that, the whole program ends."""

_exit_process = os._exit


class PluginStopped(BaseException):
    """A plugin tried to end the program, or took too long. It is no `Exception`, because plugins often catch these."""


@contextmanager
def guarded(label: str, way_out: str, seconds: float | None = None) -> Iterator[None]:
    """Guard a block that runs code of a plugin while it is loaded.

    - What it writes to file descriptor 1 goes to standard error, also from C code and from child processes. The result of a
      command may be JSON.
    - `os._exit` and `os.exec*` raise `PluginStopped`. Otherwise the command would end without a word, with exit code 0.
    - A block that takes longer than the limit is interrupted by `PluginStopped`. If that is not possible, the program ends
      with exit code 1 and a sentence that names the plugin.

    Args:
        label: the plugin in messages, e.g. ``Plugin 'tina-sounds'``.
        way_out: the end of a message that says how to leave the plugin out.
        seconds: the limit, as from `seconds_to_load`; None for no limit.
    """
    with ExitStack() as guards:
        guards.enter_context(own_output())
        guards.enter_context(_without_exits(label, way_out))
        guards.enter_context(_time_limit(label, way_out, seconds))
        yield


@contextmanager
def own_output() -> Iterator[None]:
    """Send what the block writes to file descriptor 1 to standard error."""
    _flush()  # what was written before belongs to the command
    try:
        saved = os.dup(1)
    except OSError:  # the program was started without a standard output
        yield
        return
    try:
        try:
            os.dup2(2, 1)
        except OSError:  # nor is there a standard error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
        yield
    finally:
        _flush()
        os.dup2(saved, 1)
        os.close(saved)


def _flush() -> None:
    """Write out what Python, and C code that was called through ctypes, have buffered for standard output."""
    for stream in {id(stream): stream for stream in (sys.stdout, sys.__stdout__)}.values():
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()  # type: ignore[union-attr]
    if "ctypes" in sys.modules:
        with contextlib.suppress(OSError, AttributeError, TypeError):
            sys.modules["ctypes"].CDLL(None).fflush(None)


@contextmanager
def _without_exits(label: str, way_out: str) -> Iterator[None]:
    """Let the functions that end the process at once raise `PluginStopped` instead."""
    process, loading = os.getpid(), threading.get_ident()
    older = {thread.ident for thread in threading.enumerate()}

    def refused(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            thread = threading.get_ident()
            if os.getpid() != process or (thread in older and thread != loading):  # a child, or a thread of the user
                return real(*args, **more)
            reason = f"it calls os.{name}, which would end the program; {way_out}"
            if thread == loading:
                raise PluginStopped(reason)
            _end(f"Error: {label} cannot be loaded: {reason}.")

        return call

    names = ("_exit", "execv", "execve")  # the other functions of the family call one of these
    real = {name: getattr(os, name) for name in names}
    replaced = {name: refused(name, function) for name, function in real.items()}
    for name, function in replaced.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in real.items():
            if getattr(os, name) is replaced[name]:
                setattr(os, name, function)


@contextmanager
def _time_limit(label: str, way_out: str, seconds: float | None) -> Iterator[None]:
    """Interrupt the block after the limit; see `guarded`."""
    if seconds is None or sys.gettrace() is not None:  # in a debugger, time stands still
        yield
        return
    reason = f"it is still loading after {seconds:g} s; {way_out}, or set {TIMEOUT}=SECONDS to wait longer"

    def interrupt(number: int, frame: object) -> NoReturn:
        raise PluginStopped(reason)

    # A signal also interrupts waiting and regular expressions. But only the main thread receives it, and the program may use it already.
    by_signal = (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    )
    done = threading.Event()
    last = seconds + _GRACE if by_signal else seconds

    def watch() -> None:
        if not done.wait(last):
            _end(f"Error: {label} cannot be loaded: {reason}.")

    threading.Thread(target=watch, name="tina-plugin-timeout", daemon=True).start()
    try:
        if by_signal:
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        try:
            if by_signal:
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # the signal may arrive right here
            done.set()
            if by_signal:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)


def seconds_to_load() -> float | None:
    """Return how many seconds a plugin may take to load, None for no limit.

    Raises:
        ConfigError: the environment variable is not a number of seconds.
    """
    text = os.environ.get(TIMEOUT, "").strip()
    if not text:
        return _SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < threading.TIMEOUT_MAX / 2:
        raise ConfigError(f"{TIMEOUT} is {text!r}; it must be a number of seconds, 0 for no limit.")
    return seconds or None


def leave_out(distribution: str) -> str:
    """Return what to do in order to leave a plugin out, for the end of a sentence."""
    if distribution.endswith(".py"):  # a file of the user
        return "leave out its --plugin"
    return f"set TINA_DISABLE_PLUGINS={distribution} to leave it out"


def why_stopped(error: BaseException) -> str:
    """Return what code of a plugin raised, as the end of a sentence."""
    if isinstance(error, SystemExit):
        return f"it ends the program ({reason_of(error).replace('no reason given', 'without a code')})"
    return str(error) if isinstance(error, PluginStopped) else reason_of(error)


def _end(message: str) -> NoReturn:
    """End the process with exit code 1, from any thread."""
    with contextlib.suppress(OSError):
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))
    _exit_process(1)
    raise AssertionError  # for the type checker
