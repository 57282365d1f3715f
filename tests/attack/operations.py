"""Count the file operations of a process below one folder, and kill the process at a chosen one.

An operation creates, changes, renames or removes something. The functions of `os` and `open` are replaced by wrappers that
call `_Tap.at` before and after the operation, and half way through a write. An audit hook checks that no operation misses the
wrappers: without it, a new way of writing would escape the enumeration without a word.
"""

# The wrappers must not call what they wrap, and pathlib does.
# ruff: noqa: PTH109, PTH115, PTH117, PTH118, PTH119, PTH120

from __future__ import annotations

import builtins
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AFTER", "BEFORE", "HALF", "Operation", "Point", "install", "read_log"]

BEFORE, HALF, AFTER = "before", "half", "after"

_PATHS = ("rename", "replace", "remove", "unlink", "mkdir", "rmdir", "chmod", "truncate", "link", "symlink", "utime")
"""Functions of `os` that change what a path names."""

_HANDLES = ("fsync", "ftruncate", "fchmod")
"""Functions of `os` that change a file that is open."""

_AUDITED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link", "os.symlink"}


@dataclass(frozen=True)
class Operation:
    """One operation of the log: its number, what it does, and the last path that it names, relative to the sandbox."""

    number: int
    kind: str
    path: str

    @property
    def phases(self) -> tuple[str, ...]:
        """When to kill. After one operation is before the next one: nothing else changes files."""
        return (BEFORE, HALF) if self.kind == "write" else (BEFORE,)


@dataclass(frozen=True)
class Point:
    """Where to kill: the number of the operation, and `BEFORE`, `HALF` or `AFTER`."""

    number: int
    phase: str


class _Tap:
    def __init__(self, sandbox: Path, log: int, target: Point | None, forked: bool) -> None:
        self.root = os.path.realpath(sandbox) + os.sep
        self.log = log
        self.target = target
        self.count = 0
        self.depth = 0
        self.active = not forked
        self.write = os.write  # before it is wrapped

    def path_of(self, path: Any, folder: int | None = None) -> str | None:
        """Return a path relative to the sandbox, or None if it is outside."""
        try:
            if isinstance(path, int):
                full = os.readlink(f"/proc/self/fd/{path}").removesuffix(" (deleted)")
            else:
                full = os.fspath(path)
                full = os.fsdecode(full) if isinstance(full, bytes) else full
                if not os.path.isabs(full):
                    base = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")
                    full = os.path.join(base, full)
                # The last part may be a link that is renamed or removed itself.
                full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        except (OSError, TypeError):
            return None
        return full[len(self.root) :] if full.startswith(self.root) else None

    def begin(self, kind: str, path: str) -> int:
        self.count += 1
        self.at(self.count, kind, path, BEFORE)
        self.depth += 1
        return self.count

    def end(self, number: int, kind: str, path: str) -> None:
        self.depth -= 1
        self.at(number, kind, path, AFTER)

    def at(self, number: int, kind: str, path: str, phase: str) -> None:
        self.write(self.log, f"{number}\t{phase}\t{kind}\t{path}\n".encode("utf-8", "surrogateescape"))
        if self.target == Point(number, phase):
            os.kill(os.getpid(), signal.SIGKILL)

    def unseen(self, event: str, path: str) -> None:
        self.write(self.log, f"0\tunseen\t{event}\t{path}\n".encode("utf-8", "surrogateescape"))


class _File(io.FileIO):
    """A file whose writes are operations."""

    tap: _Tap
    inside: str

    def write(self, data: Any) -> int:
        tap = self.tap
        number = tap.begin("write", self.inside)
        if tap.target == Point(number, HALF):
            view = memoryview(data).cast("B")
            super().write(view[: max(1, len(view) // 2)])
            tap.at(number, "write", self.inside, HALF)
        done = super().write(data)
        tap.end(number, "write", self.inside)
        return done or 0


def install(sandbox: Path, log: int, target: Point | None = None, *, in_forked: bool = False) -> None:
    """Replace the functions of this process for good. Call this in a child process only.

    Args:
        sandbox: only operations below this folder count.
        log: descriptor of a file outside the sandbox, to which each operation is written as it happens.
        target: where to kill.
        in_forked: count and kill in processes that this one forks, instead of this one.
    """
    tap = _Tap(sandbox, log, target, in_forked)
    # Each process counts on its own. Of the forked ones, all may be killed at the same operation.
    os.register_at_fork(after_in_child=lambda: _restart(tap, in_forked))
    for name in _PATHS:
        setattr(os, name, _path_wrapper(tap, name, getattr(os, name)))
    for name in _HANDLES:
        setattr(os, name, _handle_wrapper(tap, name, getattr(os, name)))
    os.open = _open_wrapper(tap, os.open)
    os.write = _write_wrapper(tap, os.write)
    os.sendfile = _handle_wrapper(tap, "sendfile", os.sendfile)
    io.open = builtins.open = _file_wrapper(tap, io.open)  # type: ignore[assignment]
    _wrap_exchange(tap)
    sys.addaudithook(functools.partial(_audit, tap))


def _restart(tap: _Tap, in_forked: bool) -> None:
    tap.count, tap.depth, tap.active = 0, 0, in_forked


def _around(tap: _Tap, kind: str, path: str | None, call: Callable[[], Any]) -> Any:
    if path is None or not tap.active:
        return call()
    number = tap.begin(kind, path)
    try:
        result = call()
    except BaseException:
        tap.depth -= 1
        raise
    tap.end(number, kind, path)
    return result


def _path_wrapper(tap: _Tap, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        folder = kwargs.get("dst_dir_fd", kwargs.get("dir_fd"))
        inside = tap.path_of(args[1] if name in ("rename", "replace", "link", "symlink") else args[0], folder)
        return _around(tap, name, inside, lambda: original(*args, **kwargs))

    return wrapper


def _handle_wrapper(tap: _Tap, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(handle: int, *args: Any, **kwargs: Any) -> Any:
        return _around(tap, name, tap.path_of(handle), lambda: original(handle, *args, **kwargs))

    return wrapper


def _open_wrapper(tap: _Tap, original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def wrapper(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        changes = flags & (os.O_CREAT | os.O_TRUNC)
        inside = tap.path_of(path, kwargs.get("dir_fd")) if changes else None
        result: int = _around(tap, "open", inside, lambda: original(path, flags, *args, **kwargs))
        return result

    return wrapper


def _write_wrapper(tap: _Tap, original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def wrapper(handle: int, data: Any) -> int:
        inside = tap.path_of(handle)
        if inside is None or not tap.active:
            return original(handle, data)
        number = tap.begin("write", inside)
        if tap.target == Point(number, HALF):
            original(handle, memoryview(data).cast("B")[: max(1, len(data) // 2)])
            tap.at(number, "write", inside, HALF)
        done = original(handle, data)
        tap.end(number, "write", inside)
        return done

    return wrapper


def _file_wrapper(tap: _Tap, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        inside = tap.path_of(file) if set(mode) & set("wax+") and tap.active else None
        if inside is None:
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw_mode = mode.replace("b", "").replace("t", "")
        if set(mode) & set("wax"):
            raw = _around(tap, "open", inside, lambda: _File(file, raw_mode, closefd, opener))
        else:
            tap.depth += 1
            raw = _File(file, raw_mode, closefd, opener)
            tap.depth -= 1
        raw.tap, raw.inside = tap, inside
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    return wrapper


def _wrap_exchange(tap: _Tap) -> None:
    """The system call that exchanges two folders is reached through ctypes, so it has a wrapper of its own."""
    from tina_framework.storage import exchange

    original = exchange._exchange

    def wrapper(first: Path, second: Path) -> bool:
        done: bool = _around(tap, "exchange", tap.path_of(second), lambda: original(first, second))
        return done

    exchange._exchange = wrapper


def _audit(tap: _Tap, event: str, args: tuple[Any, ...]) -> None:
    if tap.depth or not tap.active:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(path, int) or not isinstance(flags, int) or not flags & (os.O_CREAT | os.O_TRUNC):
            return
    elif event in _AUDITED:
        path = args[1] if event in ("os.rename", "os.link", "os.symlink") else args[0]
    else:
        return
    inside = tap.path_of(path) if not isinstance(path, int) else None
    if inside is not None:
        tap.unseen(event, inside)


def read_log(file: Path) -> tuple[list[Operation], list[str]]:
    """Return the operations that were finished, in order, and those that missed the wrappers."""
    finished, unseen = [], []
    for number, phase, kind, path in _lines(file):
        if phase == "unseen":
            unseen.append(f"{kind} {path}")
        elif phase == AFTER:
            finished.append(Operation(number, kind, path))
    return finished, unseen


def _lines(file: Path) -> Iterator[tuple[int, str, str, str]]:
    for line in file.read_bytes().decode("utf-8", "surrogateescape").splitlines():
        number, phase, kind, path = line.split("\t")
        yield int(number), phase, kind, path
