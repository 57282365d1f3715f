"""Processes that ``accelerate launch`` started together: they share one build, and wait for each other's files.

Process 0 holds the lock of the zoo's folder. It writes the identity of its launch into the folder. The other processes
join only if they belong to the same launch. Every process keeps touching one file, so that the others see that it works.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tina_framework.errors import CheckpointError, ConfigError, TrainingError, shorten
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.locks import LOCK, folder_lock, holder_of, is_held

__all__ = ["LAUNCH", "PARTNER_SECONDS", "Launch", "Partners", "sharing"]

PARTNER_SECONDS = 1800.0
"""How long a process of the same launch may show no sign of work."""

LAUNCH = ".launch"
"""Name of the file with the identity of a launch. It is there while several processes build."""

_MAX_PROCESSES = 100_000
_TOUCH_SECONDS = 2.0
_NOTICE_SECONDS = 10.0
_ENDED_SECONDS = 10.0
"""How long a process whose lock was seen in use, and is free now, may stay away before it counts as lost."""
_SILENT_SECONDS = 120.0
"""The same for a process that touched its file, if its lock was never seen in use. Shared file systems may show the times
of files a minute late, and some do not show locks of other machines."""

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
        """Return words for a process of this launch."""
        return f"process {rank} (RANK={rank} of {self.world} processes)"


class Partners:
    """The other processes of a launch, as seen from one of them.

    Args:
        folder: the folder of the zoo.
        launch: this process.
        timeout: how many seconds a partner may do nothing.
        notify: called with a sentence after ten seconds of waiting.
    """

    def __init__(self, folder: Path, launch: Launch, timeout: float, notify: Notify) -> None:
        self._folder, self._launch = folder, launch
        self._timeout, self._notify = timeout, notify
        self._began = _sign(folder, 0)
        self._leader_held = _lives(folder, 0)

    def check(self) -> None:
        """Check that no other launch builds in the folder by now.

        Raises:
            ConfigError: another build uses the folder.
        """
        if self._launch.rank and _read(self._folder) != self._launch.identity:
            raise ConfigError(
                f"{_capital(self._launch.name(0))} has ended, and another build uses '{self._folder}'. "
                "This process stops; everything finished is kept."
            )

    def check_leader(self, index: Path) -> None:
        """Check, when the work of this process is done, that process 0 is there to finish the zoo.

        Raises:
            TrainingError: it was killed.
        """
        if index.is_file() or _read(self._folder) != self._launch.identity:
            return  # process 0 is done: it removes its file at a normal end
        # Where the lock was never seen in use, as on Windows, a free lock says nothing.
        if self._leader_held and not _lives(self._folder, 0):
            raise TrainingError(
                f"{_capital(self._launch.name(0))} ended before the zoo was complete, so it has no index. All shards of "
                "this process are finished and kept: start all processes again with the same command to continue."
            )

    def wait(self, rank: int, what: str, file: Path, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, for a file that another process writes.

        Args:
            rank: the process that writes it.
            what: the file in words: ``shard 7``.
            file: its path.
            ready: whether it is there and complete.

        Raises:
            TrainingError: that process ended, or did nothing for as long as the time limit.
        """
        _wait(
            self._folder,
            self._launch,
            rank,
            what,
            file,
            ready,
            self._timeout,
            self._notify,
            held=rank == 0 and self._leader_held,
            # A file that was touched since this build began belongs to a partner that has started.
            started=rank != 0 and _sign(self._folder, rank) > self._began,
        )


def _wait(
    folder: Path,
    launch: Launch,
    rank: int,
    what: str,
    file: Path,
    ready: Callable[[], bool],
    timeout: float,
    notify: Notify,
    *,
    watched: bool = True,
    held: bool = False,
    started: bool = False,
) -> None:
    """Wait for a file of another process.

    Args:
        folder: the folder of the zoo; for the other arguments see `Partners.wait`.
        watched: whether the lock of that process tells something about it.
        held: whether its lock was seen in use before.
        started: whether it has started, by its file.
    """
    begin = last = lived = time.monotonic()
    sign, told, pause = _sign(folder, rank), False, 0.05
    while not ready():
        time.sleep(min(pause, timeout))
        pause = min(pause * 1.5, 0.5)
        now, found = time.monotonic(), _sign(folder, rank)
        if found != sign:
            sign, last = found, now
        if watched and _lives(folder, rank):
            held, lived = True, now
        lost = ""
        if now - last >= timeout:
            lost = f"showed no sign of work for {timeout:g} s, and {what} is missing"
        # A free lock shows long before the time limit that the process has ended, if this machine sees locks of that one.
        # The process gets some seconds, because a launcher may start it again.
        elif (held and now - lived >= _ENDED_SECONDS) or (started and now - max(last, lived) >= _SILENT_SECONDS):
            lost = f"has ended and left {what} unfinished"
        if lost and not ready():
            raise TrainingError(
                f"{_capital(launch.name(rank))} {lost} ('{file}'). "
                "Everything finished is kept: start all processes again with the same command to continue."
            )
        if not told and now - begin >= _NOTICE_SECONDS:
            told = True
            notify(f"Waiting for {what} of {launch.name(rank)}, up to {timeout:g} s without a sign of work.")


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


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
    # The processes of a launch look at each other's locks for a moment, so one try is not enough.
    patience = wait or (2.0 if launch.world > 1 else 0.0)
    said = notify if wait else (lambda text: None)
    if launch.rank == 0:
        with folder_lock(folder, "builds a zoo", timeout=patience, notify=said):
            if launch.world > 1:
                write_json(folder / LAUNCH, {"launch": launch.identity})
            else:
                (folder / LAUNCH).unlink(missing_ok=True)
            with _touching(folder / LAUNCH, launch.world > 1):
                yield Partners(folder, launch, timeout, notify)
            _forget(folder)
        return
    _join(folder, launch, timeout, notify)
    name = _own_lock(launch.rank)
    use = f"builds a zoo with RANK={launch.rank}"
    with folder_lock(folder, use, timeout=patience, notify=said, name=name), _touching(folder / name, True):
        yield Partners(folder, launch, timeout, notify)


def _own_lock(rank: int) -> str:
    return f"{LOCK}-{rank}"


def _lives(folder: Path, rank: int) -> bool:
    """Return whether a process holds its lock, as far as the file system tells."""
    return is_held(folder, _own_lock(rank) if rank else LOCK)


def _join(folder: Path, launch: Launch, timeout: float, notify: Notify) -> None:
    """Wait until process 0 has started."""
    foreign_since: float | None = None

    def ready() -> bool:
        nonlocal foreign_since
        if _read(folder) == launch.identity:
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

    _wait(folder, launch, 0, "the start", folder / LAUNCH, ready, timeout, notify, watched=False)


def _read(folder: Path) -> str:
    """Return the identity of the launch that builds here, or an empty text."""
    try:
        return str(read_json(folder / LAUNCH)["launch"])
    except (CheckpointError, KeyError, TypeError):
        return ""


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
