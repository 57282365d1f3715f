"""Run functions in forked processes with a time limit, and find the processes that they leave behind.

Forking a process that has imported torch costs milliseconds, while a new interpreter needs seconds. It works because torch uses
one thread here, and because the process that forks never runs a training step itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Child", "Ended", "in_parallel", "run", "sentence_problem", "start", "survivors"]

_POLL = 0.005
_LONGEST_SENTENCE = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; minus the number of the signal that killed it; None if it ran past its time limit.
        output: what it wrote to standard output and standard error.
    """

    code: int | None
    output: str

    @property
    def words(self) -> str:
        """What happened, with the last line of output."""
        lines = self.output.strip().splitlines() or [""]
        how = "ran past its time limit" if self.code is None else f"ended with {self.code}"
        return f"{how}: {lines[-1][:200]}"


@dataclass
class Child:
    """A forked process, the leader of a session of its own.

    Attributes:
        number: its process id.
        log: the file that gets its output.
        deadline: time of `time.monotonic` at which it is killed.
        silence: seconds without output after which it is killed.
    """

    number: int
    log: Path
    deadline: float
    silence: float = float("inf")

    def _late(self) -> bool:
        with contextlib.suppress(OSError):
            if time.time() - self.log.stat().st_mtime > self.silence:
                return True
        return time.monotonic() > self.deadline

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it runs. Past its time limit it is killed."""
        found, status = os.waitpid(self.number, os.WNOHANG)
        if not found and self._late():
            end_session(self.number)
            os.waitpid(self.number, 0)
            return Ended(None, self.output())
        return Ended(os.waitstatus_to_exitcode(status), self.output()) if found else None

    def wait(self) -> Ended:
        while (ended := self.poll()) is None:
            time.sleep(_POLL)
        return ended

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def start(function: Callable[[], Any], log: Path, timeout: float = 120.0) -> Child:
    """Fork, and call the function there. Its exit code is 0, that of a SystemExit, or 99 after another exception."""
    sys.stdout.flush()
    sys.stderr.flush()
    number = os.fork()
    if number:
        return Child(number, log, time.monotonic() + timeout)
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        function()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def run(function: Callable[[], Any], log: Path, timeout: float = 120.0) -> Ended:
    """Fork, call the function there, and wait for its end."""
    return start(function, log, timeout).wait()


def survivors(session: int) -> list[int]:
    """Return the living processes of a session: those that a process started with `start` left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                state, _, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(number) == session and state != "Z":
                    found.append(int(entry.name))
    return found


def wait_for_end(session: int, seconds: float) -> list[int]:
    """Wait until no process of a session lives. Return those that still do, after killing them."""
    deadline = time.monotonic() + seconds
    while (left := survivors(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        end_session(session)
    return left


def end_session(session: int) -> None:
    """Kill all processes of a session that `start` began."""
    for number in survivors(session):
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)


def in_parallel(
    tasks: Sequence[Callable[[], None]],
    logs: Path,
    jobs: int,
    timeout: float,
    until: float = float("inf"),
    silence: float = float("inf"),
) -> Iterator[tuple[int, Ended]]:
    """Run tasks in forked processes, `jobs` at a time. Yield the number of each and how it ended.

    Args:
        tasks: what to run. Each prints its result to standard output.
        logs: a folder for the output.
        jobs: number of processes at a time.
        timeout: seconds for each task.
        until: a time of `time.monotonic` after which no further task starts.
        silence: seconds without output after which a task counts as hanging.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting = list(enumerate(tasks))[::-1]
    running: dict[int, Child] = {}
    while waiting or running:
        if time.monotonic() > until:
            waiting = []
        while waiting and len(running) < jobs:
            number, task = waiting.pop()
            running[number] = start(task, logs / f"task-{number}.log", timeout)
            running[number].silence = silence
        for number, child in list(running.items()):
            if (ended := child.poll()) is not None:
                del running[number]
                child.log.unlink(missing_ok=True)
                yield number, ended
        time.sleep(_POLL)


def sentence_problem(text: str, *, lists: bool = False) -> str | None:
    """Return what is wrong with an error message, or None: one line, short, without control characters.

    Args:
        text: the message.
        lists: whether it may list several faults, one on each line.
    """
    if not text.strip():
        return "it is empty"
    if len(text) > _LONGEST_SENTENCE:
        return f"it has {len(text)} characters"
    if _CONTROL.search(text.replace("\n", "") if lists else text) or (len(text.splitlines()) > 1 and not lists):
        return "it has control characters or several lines"
    return "it names no reason" if text.startswith("Unexpected ") else None
