"""Processes that ``accelerate launch`` started together: they share one build, and wait for each other's files.

Process 0 holds the lock of the zoo's folder. It writes the identity of its launch into the folder. The other processes
join only if they belong to the same launch. Every process keeps touching one file, so that the others see that it works.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tina_framework.errors import CheckpointError, ConfigError, TrainingError, shorten
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.locks import LOCK, folder_lock, holder_of, is_held

__all__ = ["LAUNCH", "Launch", "Partners", "sharing"]

LAUNCH = ".launch"
"""Name of the file with the identity of a launch. It is there while several processes build."""

_MAX_PROCESSES = 100_000
_TOUCH_SECONDS = 2.0
_NOTICE_SECONDS = 10.0
_REFUSE_SECONDS = 5.0
"""How long another launch may hold the folder before a process that does not belong to it gives up."""

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Launch:
    """Which process this is, and of which launch.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        identity: equal for the processes of one launch.
    """

    rank: int = 0
    world: int = 1
    identity: str = ""

    @classmethod
    def from_environment(cls) -> Launch:
        """Read what ``accelerate launch`` set. A process that was started alone is number 0 of 1.

        Raises:
            ConfigError: ``RANK`` and ``WORLD_SIZE`` are not numbers that fit together.
        """
        given = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")}
        rank, world = (
            int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
            for text in (given["RANK"] or "0", given["WORLD_SIZE"] or "1")
        )
        if not 0 <= rank < world <= _MAX_PROCESSES:
            raise ConfigError(
                f"The variables RANK={shorten(given['RANK'])} and WORLD_SIZE={shorten(given['WORLD_SIZE'])} do not name "
                "one of several processes; start them with `accelerate launch`, or remove the variables."
            )
        names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")
        return cls(rank, world, " ".join([f"{name}={os.environ.get(name, '')}" for name in names] + [f"of {world}"]))

    def name(self, rank: int) -> str:
        """Return words for a process of this launch, to begin a sentence."""
        return f"Process {rank} (RANK={rank} of {self.world} processes)"


class Partners:
    """The other processes of a launch, as seen from one of them.

    Args:
        folder: the folder of the zoo.
        launch: this process.
        token: what process 0 wrote for this build.
        timeout: how many seconds a partner may do nothing.
        notify: called with a sentence after ten seconds of waiting.
    """

    def __init__(self, folder: Path, launch: Launch, token: str, timeout: float, notify: Notify) -> None:
        self._folder, self._launch, self._token = folder, launch, token
        self._timeout, self._notify = timeout, notify

    def check(self) -> None:
        """Check that process 0 has not been replaced by another build.

        Raises:
            ConfigError: another build uses the folder now.
        """
        if self._launch.rank and _read(self._folder)[1] != self._token:
            raise ConfigError(
                f"{self._launch.name(0)} has ended, and another build uses '{self._folder}'. "
                "This process stops; everything finished is kept."
            )

    def wait(self, rank: int, file: Path, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, for a file that another process writes.

        Raises:
            TrainingError: that process did nothing for as long as the time limit.
        """
        _wait(self._folder, self._launch, rank, file, ready, self._timeout, self._notify)


def _wait(
    folder: Path, launch: Launch, rank: int, file: Path, ready: Callable[[], bool], timeout: float, notify: Notify
) -> None:
    begin = last = time.monotonic()
    sign, told, pause = _sign(folder, rank), False, 0.05
    while not ready():
        time.sleep(min(pause, timeout))
        pause = min(pause * 1.5, 0.5)
        now, found = time.monotonic(), _sign(folder, rank)
        if found != sign:
            sign, last = found, now
        if now - last >= timeout:
            raise TrainingError(
                f"{launch.name(rank)} showed no sign of work for {timeout:g} s, and '{file}' is missing. "
                "Everything finished is kept: start all processes again with the same command to continue."
            )
        if not told and now - begin >= _NOTICE_SECONDS:
            told = True
            notify(
                f"{launch.name(rank)} has not written '{file}' yet. Waiting for it, up to {timeout:g} s without a sign of work."
            )


@contextlib.contextmanager
def sharing(folder: Path, launch: Launch, *, wait: float, timeout: float, notify: Notify) -> Iterator[Partners]:
    """Hold the folder for this process: its lock, or a place beside the process that holds the lock.

    Args:
        folder: the folder of the zoo.
        launch: this process.
        wait: how many seconds to wait for another build to end.
        timeout: how many seconds a partner may do nothing.
        notify: called with a sentence when this process has to wait.

    Raises:
        ConfigError: another build uses the folder.
        TrainingError: process 0 of this launch does not start.
    """
    if launch.rank == 0:
        # The other processes of a launch look at the lock for a moment, so one try is not enough.
        patience = wait or (2.0 if launch.world > 1 else 0.0)
        said = notify if wait else (lambda text: None)
        with folder_lock(folder, "builds a zoo", timeout=patience, notify=said):
            token = secrets.token_hex(8)
            if launch.world > 1:
                write_json(folder / LAUNCH, {"launch": launch.identity, "token": token})
            else:
                (folder / LAUNCH).unlink(missing_ok=True)
            with _touching(folder / LAUNCH, launch.world > 1):
                yield Partners(folder, launch, token, timeout, notify)
            _forget(folder)
        return
    token = _join(folder, launch, timeout, notify)
    name = _own_lock(launch.rank)
    use = f"builds a zoo with RANK={launch.rank}"
    with folder_lock(folder, use, timeout=wait, notify=notify, name=name), _touching(folder / name, True):
        yield Partners(folder, launch, token, timeout, notify)


def _own_lock(rank: int) -> str:
    return f"{LOCK}-{rank}"


def _join(folder: Path, launch: Launch, timeout: float, notify: Notify) -> str:
    """Wait for process 0, and return the token of its build."""
    foreign_since: float | None = None

    def ready() -> bool:
        nonlocal foreign_since
        if _read(folder)[0] == launch.identity:
            return True
        if not is_held(folder):
            foreign_since = None
            return False
        foreign_since = foreign_since or time.monotonic()
        # Process 0 writes the identity just after it has taken the lock, so a short difference means nothing.
        if time.monotonic() - foreign_since > _REFUSE_SECONDS:
            raise ConfigError(
                f"'{folder}' is in use by a build that this process does not belong to: {holder_of(folder)}. "
                "Wait until it has ended, or choose another folder."
            )
        return False

    _wait(folder, launch, 0, folder / LAUNCH, ready, timeout, notify)
    return _read(folder)[1]


def _read(folder: Path) -> tuple[str, str]:
    """Return identity and token of the launch that builds here, or empty texts."""
    try:
        value = read_json(folder / LAUNCH)
        return str(value["launch"]), str(value["token"])
    except (CheckpointError, KeyError, TypeError):
        return "", ""


def _sign(folder: Path, rank: int) -> int:
    """Return a number that changes as long as a process works."""
    try:
        return (folder / (_own_lock(rank) if rank else LAUNCH)).stat().st_mtime_ns
    except OSError:
        return 0


@contextlib.contextmanager
def _touching(path: Path, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(_TOUCH_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _forget(folder: Path) -> None:
    """Remove the files of a launch whose work is done. Processes that are about to end keep theirs."""
    (folder / LAUNCH).unlink(missing_ok=True)
    for path in folder.glob(f"{LOCK}-*"):
        if not is_held(folder, path.name):
            with contextlib.suppress(OSError):
                path.unlink()
