"""The CPU processes of the zoo builder, as the builder sees them: start, work, and what happens when one dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tina_framework.errors import TrainingError
from tina_framework.zoo import build_process
from tina_framework.zoo.build_process import Banks, Item, ProcessSetup
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["train_in_processes"]

_JOIN_SECONDS = 10.0


class _Worker:
    def __init__(self, setup: ProcessSetup, folder: Path, config: ZooConfig, banks: Banks, count: int) -> None:
        # Processes are spawned: a forked child hangs in OpenMP if its parent has used OpenMP before.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=build_process.run, args=(theirs, setup, folder, config, banks)
        )
        self.item: Item | None = None
        self.ready = False
        try:
            self.process.start()
        except OSError as error:
            raise TrainingError(
                f"A worker process cannot be started ({error.strerror or error}). Everything finished is kept: run the same "
                f"command again with fewer --workers (now {count})."
            ) from error
        finally:
            theirs.close()  # so that the end of the process shows in `connection`

    def give(self, queue: deque[Item]) -> None:
        """Give the next model to the process, if there is one."""
        self.item = queue.popleft() if queue else None
        if self.item is not None:
            with contextlib.suppress(OSError):  # a dead process is noticed by the one who waits for it
                self.connection.send(self.item)

    def end(self) -> None:
        """End the process at once. It writes files atomically, so this harms nothing."""
        with contextlib.suppress(ValueError, AttributeError):  # it was not started
            self.process.kill()
            self.process.join(_JOIN_SECONDS)
        self.connection.close()

    def death(self, count: int) -> TrainingError:
        """Return the error for a process that ended without being asked to."""
        self.process.join(_JOIN_SECONDS)
        code = self.process.exitcode
        doing = f"while it trained p-Model {self.item[0]}" if self.item and self.ready else "while it started"
        who = f"Worker process {self.process.pid}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                code_name = signal.Signals(-code).name
                why = ", probably because the memory was full" if code_name == "SIGKILL" else ""
                return TrainingError(
                    f"{who} was killed by {code_name} {doing}{why}. Everything finished is kept: run the same command "
                    f"again with fewer --workers (now {count})."
                )
        return TrainingError(
            f"{who} ended with exit code {code} {doing}. Its own messages are above. Everything finished is kept: run the "
            "same command again, or with --workers 1 to see the error. A script that calls build_zoo with several workers "
            'needs `if __name__ == "__main__":`.'
        )


def train_in_processes(
    setup: ProcessSetup, folder: Path, config: ZooConfig, banks: Banks, queue: Sequence[Item], workers: int
) -> Iterator[int]:
    """Train and store the models of a queue in several processes.

    Close the iterator when it is no longer needed: this ends the processes.

    Yields:
        The id of every model whose file is complete.

    Raises:
        TrainingError: a process died.
        Exception: whatever a process raised.
    """
    waiting, count = deque(queue), min(workers, len(queue))
    pool: list[_Worker] = []
    try:
        with _signals_wait():
            for _ in range(count):
                pool.append(_Worker(setup, folder, config, banks, workers))
        left = len(queue)
        while left:
            by_connection = {worker.connection: worker for worker in pool}
            for found in connection.wait(list(by_connection)):
                worker = by_connection[found]  # type: ignore[index]
                for kind, value in _messages(worker, workers):
                    if kind == "failed":
                        raise value
                    if kind == "ready":
                        worker.ready = True
                    worker.give(waiting)
                    if kind == "done":
                        left -= 1
                        yield value
    finally:
        for worker in pool:
            with contextlib.suppress(ValueError, AttributeError):
                worker.process.kill()
        for worker in pool:
            worker.end()


def _messages(worker: _Worker, count: int) -> Iterator[tuple[str, Any]]:
    """Yield the message that a process has sent."""
    try:
        yield worker.connection.recv()
    except (EOFError, OSError):
        # If a signal to the whole group ended the process, it has reached this one too: its handler comes first.
        time.sleep(0.2)
        raise worker.death(count) from None


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back signals while processes start. A new process would meet them before it can ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
