"""Which processes of a run are alive: every process gives a sign of life each second, and a silent one is named.

The signs go through the key-value store by which the processes found each other (`torch.distributed.TCPStore`). A collective
of torch only says that it failed, not which process is to blame. A rank here is the number of a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from torch.distributed import DistStoreError, TCPStore  # type: ignore[attr-defined]

from tina_framework.errors import TrainingError
from tina_framework.terminal.console import print_error

__all__ = ["Watch", "watch_of"]

_LONGEST_INTERVAL = 1.0
_MISSED = 3
"""After so many missing signs a process counts as silent, if a connection was lost as well."""

_GRACE_SECONDS = 5.0
"""How many seconds the main thread gets to end by itself, after another process was silent for the whole time limit."""

_ADVICE = "To continue, use the same settings and --resume_from_checkpoint latest."


class Watch:
    """The signs of life of all processes of a run, as one of them sees them.

    Process 0 reads the signs of all others, and publishes whom it suspects. The others read that, and the sign of process 0.
    So the store serves a few requests a second for each process.

    Args:
        rank: number of this process.
        processes: number of processes.
        timeout: after how many seconds of silence a process counts as lost.
        name: distinguishes this run from others with the same store.

    Attributes:
        step: the step that this process is at. The loop sets it.
    """

    def __init__(self, rank: int, processes: int, timeout: float, name: str) -> None:
        self.step = 0
        self._rank, self._processes, self._timeout = rank, processes, timeout
        self._interval = min(_LONGEST_INTERVAL, timeout / 20)
        self._state = "runs"
        self._beats = 0
        self._busy = 0
        self._shared = 0
        self._prefix = f"tina/{name}"
        self._changed: dict[int, float] = {}
        self._rows: dict[int, list[Any]] = {}
        self._suspect: list[Any] | None = None
        self._heard = self._waiting_since = self._main_was_busy = time.monotonic()
        self._broken = False
        self._wake, self._closed = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, host: str, port: int) -> None:
        """Connect to the store, wait until all processes have done so, and give signs of life from now on."""
        # A connection serves one request at a time, so the main thread needs its own.
        wait = timedelta(seconds=self._timeout)
        self._signs, self._calls = (
            TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=wait) for _ in range(2)
        )
        if self._rank == 0:
            self._signs.set(self._key("suspect"), "null")
        self._publish()
        everyone = [self._key(rank) for rank in range(self._processes)]
        self._signs.wait([*everyone, self._key("suspect")], wait)
        self._heard = time.monotonic()
        for action in (self._give_signs, self._end_if_stuck):
            thread = threading.Thread(target=action, daemon=True, name=f"tina {action.__name__}")
            self._threads.append(thread)
            thread.start()

    def close(self, state: str = "finished") -> None:
        """Give a last sign of life, with the reason for the end, and stop the threads.

        Process 0 stays until the others have read the sign, because it may hold the store.
        """
        if self._closed.is_set():
            return
        self._state = state
        self._closed.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(_GRACE_SECONDS + self._interval)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Let the main thread finish this context, such as saving a checkpoint, even if another process is lost."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def from_main(self, text: str | None) -> str:
        """Return the text of process 0 in all processes. All of them must call this, the others with None.

        This waits for as long as process 0 is `busy`: saving a checkpoint to a slow disk may take any time.

        Raises:
            TrainingError: process 0 was silent for the whole time limit, or it failed, or it hangs.
        """
        self._shared += 1
        key = self._key(f"text/{self._shared}")
        if text is not None:
            self._calls.set(key, text)
            return text
        begin, told = time.monotonic(), 1
        while True:
            try:
                self._calls.wait([key], timedelta(seconds=self._interval))
                return bytes(self._calls.get(key)).decode()
            except DistStoreError:  # not yet
                pass
            found, now = self._accused(self._timeout), time.monotonic()
            if found is None and now - max(begin, self._main_was_busy) > self._timeout:
                found = [0, "hangs", self._rows[0][1], self._timeout]
            # If process 0 has finished, it has sent its text already.
            if found is not None and found[1] != "finished":
                raise TrainingError(f"{self._sentence(found)} {_ADVICE}")
            if now - begin > told * self._timeout:
                told += 1
                print_error(
                    f"{self._name(self._rank)} has waited {now - begin:.0f} s for process 0, which is still busy."
                )

    def name_lost(self, timed_out: bool) -> str:
        """Return a sentence about the process that caused an error of a collective.

        Args:
            timed_out: whether the collective waited in vain, and no connection broke.
        """
        # A process that waited, too, is not the one that hangs.
        self._state = "waited" if timed_out else "lost"
        self._wake.set()
        deadline = time.monotonic() + (3 * _MISSED) * self._interval
        found = None
        while found is None and time.monotonic() < deadline:
            time.sleep(self._interval / 4)
            found = self._accused(_MISSED * self._interval)
        if self._rank == 0:
            # Process 0 may hold the store, in which the others read whom it suspects.
            time.sleep(_MISSED * self._interval)
        return "" if found is None else self._sentence(found)

    def _key(self, name: object) -> str:
        return f"{self._prefix}/{name}"

    def _name(self, rank: int) -> str:
        return f"Process {rank} of {self._processes}"

    def _publish(self) -> None:
        self._beats += 1
        state = "busy" if self._busy and self._state == "runs" else self._state
        self._signs.set(self._key(self._rank), json.dumps([self._beats, self.step, state]))

    def _give_signs(self) -> None:
        """Give and read signs until the end. Runs in a thread."""
        try:
            while True:
                last = self._closed.is_set()
                self._publish()
                if last:
                    break
                self._read()
                self._heard = time.monotonic()
                self._wake.wait(self._interval)
                self._wake.clear()
            if self._rank == 0:
                # After a failure the others only have to read this sign. After a normal end they may still wait for a text.
                seconds = _GRACE_SECONDS if self._state == "finished" else _MISSED * self._interval
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and any(row[2] in ("runs", "busy") for row in self._rows.values()):
                    time.sleep(self._interval / 10)
                    self._read()
        except RuntimeError:
            self._broken = True  # the process that holds the store ended

    def _read(self) -> None:
        others = [rank for rank in range(self._processes) if rank != self._rank] if self._rank == 0 else [0]
        keys = [*map(self._key, others), self._key("suspect")]
        *rows, suspect = (json.loads(bytes(value)) for value in self._signs.multi_get(keys))
        now = time.monotonic()
        for rank, row in zip(others, rows, strict=True):
            if self._rows.get(rank) != row:
                self._rows[rank], self._changed[rank] = row, now
        if self._rank != 0:
            self._suspect = suspect
            if rows[0][2] == "busy":
                self._main_was_busy = now
            return
        # Assigned only after the others can read it: see `name_lost`.
        found = self._find_suspect(now)
        if found != suspect:
            self._signs.set(self._key("suspect"), json.dumps(found))
        self._suspect = found

    def _find_suspect(self, now: float) -> list[Any] | None:
        """Return [rank, what it does, step, seconds of silence] of the process to blame, as process 0 sees it."""
        rows = {**self._rows, 0: [self._beats, self.step, self._state]}
        for rank, (_, step, state) in sorted(rows.items()):
            if state == "failed":
                return [rank, state, step, 0.0]
        silence = {rank: now - self._changed[rank] for rank, row in self._rows.items() if row[2] in ("runs", "busy")}
        if silence:
            rank = max(silence, key=lambda rank: silence[rank])
            if silence[rank] > _MISSED * self._interval:
                return [rank, "silent", rows[rank][1], silence[rank]]
        states = {rank: row[2] for rank, row in rows.items()}
        running = [rank for rank, state in states.items() if state == "runs"]
        if not running or "waited" not in states.values():
            self._waiting_since = now
        elif now - self._waiting_since > _MISSED * self._interval:
            return [running[0], "hangs", rows[running[0]][1], self._timeout]
        return None

    def _accused(self, silence: float) -> list[Any] | None:
        """Return the process to blame, or None. Silence counts after so many seconds."""
        now = time.monotonic()
        if self._rank != 0:
            step = self._rows.get(0, [0, 0, ""])[1]
            if self._rows.get(0, [0, 0, ""])[2] in ("failed", "finished"):
                return [0, self._rows[0][2], step, 0.0]
            # The store lies with process 0 or its launcher. If it does not answer, neither does process 0.
            since = min(self._heard, self._changed.get(0, self._heard))
            if self._broken and silence < self._timeout:
                return [0, "silent", step, 0.0]
            if now - since > silence:
                return [0, "silent", step, now - since]
        found = self._suspect
        return None if found is None or (found[1] == "silent" and found[3] < silence) else found

    def _sentence(self, found: list[Any]) -> str:
        rank, state, step, seconds = found
        if state == "failed":
            return f"{self._name(rank)} ended with an error at step {step}; see its message."
        if state == "hangs":
            return f"{self._name(rank)} is alive, but did not answer for {seconds:.0f} s at step {step}."
        if state == "silent" and seconds > self._timeout / 2:
            return f"{self._name(rank)} did not answer for {seconds:.0f} s at step {step}."
        return f"{self._name(rank)} ended at step {step}, or its machine cannot be reached."

    def _end_if_stuck(self) -> None:
        """End this process if another one is lost and the main thread waits for it in vain. Runs in a thread.

        Some waits cannot be interrupted: NCCL waits in the driver, and a store that was stopped never answers.
        """
        since = None
        while not self._closed.wait(self._interval):
            found = self._accused(self._timeout)
            if found is None or found[1] not in ("silent", "failed") or self._busy:
                since = None
                continue
            since = since or time.monotonic()
            if time.monotonic() - since > _GRACE_SECONDS:
                print_error(f"Error: {self._sentence(found)} {_ADVICE}")
                # Ending at once is safe: whatever is being written is a temporary file.
                os._exit(1)


def watch_of(accelerator: Any) -> Watch | None:
    """Return the watch over the processes of a run, or None if there is only one process."""
    found: Watch | None = getattr(accelerator, "tina_watch", None)
    return found
