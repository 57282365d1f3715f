"""Draw the examples of the next step in a thread, while the present step is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from tina_framework.targets.worker_threads import worker_threads
from tina_framework.training.draws import Draws

__all__ = ["DrawAhead"]

Key = tuple[int, int]


class DrawAhead:
    """Returns what `draw` returns, mostly without waiting for it.

    Draws follow from the step and the part alone, so a run has the same draws with and without this class.

    Args:
        draw: called with a step and a part of its batch, in any thread.
        parts: number of parts of a batch.
        steps: number of steps of the run; nothing is drawn for later ones.
    """

    def __init__(self, draw: Callable[[int, int], list[Draws]], parts: int, steps: int) -> None:
        self._draw, self._parts, self._steps = draw, parts, steps
        self._thread: ThreadPoolExecutor | None = None
        self._next: tuple[Key, Future[list[Draws]]] | None = None

    def get(self, step: int, part: int) -> list[Draws]:
        """Return the draws of a part of a step, and start to draw the part after it.

        Raises:
            Exception: whatever `draw` raised for this part.
        """
        key = step, part
        # Another part was expected at the first step and after a resume.
        expected = self._next[1] if self._next is not None and self._next[0] == key else None
        found = self._draw(step, part) if expected is None else expected.result()
        after = (step, part + 1) if part + 1 < self._parts else (step + 1, 0)
        self._next = None
        if after[0] < self._steps:
            self._thread = self._thread or worker_threads(1)
            self._next = after, self._thread.submit(self._draw, *after)
        return found

    def close(self) -> None:
        """End the thread. `get` starts a new one."""
        self._next = None
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
