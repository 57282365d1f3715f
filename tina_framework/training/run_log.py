"""The log file of a run, its progress display, and the values passed on to experiment trackers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tina_framework.errors import TrainingError, printable
from tina_framework.storage.files import replacing
from tina_framework.terminal import console
from tina_framework.terminal.progress import make_progress

__all__ = ["LOG", "RunLog"]

LOG = "log.jsonl"
_SECONDS_BETWEEN_LINES = 15.0


class RunLog:
    """The log and the progress display of a run. On other processes than the main one it does nothing.

    Args:
        folder: the folder of the log file.
        total: total number of steps.
        active: whether this is the main process.
        track: called with (figures, step) for experiment trackers.

    Attributes:
        lines: number of lines that the log has, or that a resumed run keeps.
        expected: SHA-256 of the lines that a resumed run keeps; empty if it is not known.
    """

    def __init__(self, folder: Path, total: int, active: bool, track: Callable[[dict[str, float], int], None]) -> None:
        self.path = folder / LOG
        self.lines = 0
        self.expected = ""
        self._hash = hashlib.sha256()
        self.total = total
        self.active = active
        self._track = track
        self._progress: Progress | None = None
        self._last_line = 0.0

    def start(self, step: int) -> None:
        """Start at `step` and keep the first `lines` lines of the log.

        A run that resumes from a checkpoint repeats the steps after it, and would write their lines a second time.

        Raises:
            TrainingError: the log cannot be written.
        """
        if not self.active:
            return
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.is_file() else ""
            kept = [line for line in text.split("\n")[: self.lines] if 0 <= _step_of(line) <= step]
            self.lines = len(kept)
            with replacing(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="\n")
        self._hash = hashlib.sha256("".join(f"{line}\n" for line in kept).encode())
        if self.expected and self.expected != self.sha256:
            self.notify(
                f"'{self.path}' was changed or lost lines since the checkpoint was written. The weights do not depend on it, but "
                f"its lines up to step {step} may be wrong."
            )
        if console.err_console.is_terminal:
            self._progress = make_progress(console.err_console, elapsed_when_finished=True)
            self._task = self._progress.add_task("training", total=self.total, completed=step, note="")
            self._progress.start()

    def write(self, kind: str, step: int, figures: dict[str, Any]) -> None:
        """Append a line to the log, and pass its numbers on to the trackers.

        Args:
            kind: ``train`` or ``validation``.
            step: number of steps so far.
            figures: JSON values.

        Raises:
            TrainingError: the log cannot be written.
        """
        if not self.active:
            return
        line = {"kind": kind, "step": step, **figures}
        text = json.dumps(line, ensure_ascii=False) + "\n"
        with self._writing(), self.path.open("a", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
        self.lines += 1
        self._hash.update(text.encode())
        prefix = "" if kind == "train" else f"{kind}/"
        plain = {f"{prefix}{k}": float(v) for k, v in figures.items() if isinstance(v, int | float)}
        self._track(plain, step)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all lines."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Write the log to disk, so that no checkpoint counts lines which a power failure takes away."""
        if self.active and self.path.is_file():
            with self._writing(), self.path.open("rb+") as handle:
                os.fsync(handle.fileno())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"'{self.path}' cannot be written ({error.strerror or error}). The checkpoints are unchanged. Free some disk space, "
                "or make the file writable, and resume."
            ) from error

    def advance(self, step: int, note: str, eta: float) -> None:
        """Show that `step` steps are done.

        Args:
            step: number of steps so far.
            note: text beside the progress, such as the losses.
            eta: expected time left in seconds.
        """
        if not self.active:
            return
        if self._progress is not None:
            self._progress.update(self._task, completed=step, note=printable(note))
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES or step == self.total:
            self._last_line = time.monotonic()
            self.notify(f"step {step}/{self.total}  {note}  {_duration(eta)} left")

    def notify(self, text: str) -> None:
        """Print a message to standard error, where it does not mix with results on standard output."""
        if self.active:
            console.print_error(text)

    def close(self) -> None:
        """Stop the progress display."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1  # a line that a killed run did not finish: drop it


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
