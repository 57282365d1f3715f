"""The JSON file of a part: figures, errors and the environment, written again after every change."""

from __future__ import annotations

import datetime
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Record", "environment", "last_lines", "write_json"]

Result = TypeVar("Result")

_LINES = 12


def last_lines(text: str, count: int = _LINES) -> list[str]:
    """Return the last lines of a text, without empty ones."""
    return [line[:400] for line in text.splitlines() if line.strip()][-count:]


def write_json(path: Path, value: object) -> None:
    """Write a file that a reader sees whole, also if this process is killed."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


class Record:
    """What one part has found so far.

    Args:
        path: the JSON file.
        part: name of the part.
        deadline: when the part will be stopped, in seconds of `time.time`.

    Attributes:
        values: the contents of the file.
    """

    def __init__(self, path: Path, part: str, deadline: float) -> None:
        self.path = path
        self.deadline = deadline
        self.values: dict[str, Any] = {
            "part": part,
            "status": "running",
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": 0.0,
            "environment": {},
            "figures": {},
            "skipped": [],
            "errors": [],
        }
        self._start = time.monotonic()
        self._lock = threading.Lock()  # a thread may store figures while the part runs
        self.write()

    @property
    def remaining(self) -> float:
        """Seconds until this part is stopped."""
        return self.deadline - time.time()

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = self.values["figures"]
        return figures

    def write(self) -> None:
        """Write the file."""
        with self._lock:
            self.values["seconds"] = round(time.monotonic() - self._start, 2)
            write_json(self.path, self.values)

    def say(self, text: str) -> None:
        """Print a progress line with the seconds since the part began."""
        print(f"[{self.values['part']} {time.monotonic() - self._start:6.1f} s] {text}", flush=True)

    def set(self, name: str, value: object) -> None:
        """Store a figure."""
        self.figures[name] = value
        self.say(f"{name}: {json.dumps(value)[:300]}")
        self.write()

    def attempt(self, what: str, act: Callable[[], Result], needs: float = 5.0) -> Result | None:
        """Call a function and return its result. If it fails, store the error and return None, so that the part goes on.

        Args:
            what: a name for the record.
            act: the function.
            needs: skip it if fewer seconds remain.
        """
        if self.remaining < needs:
            self.values["skipped"].append(f"{what}: {self.remaining:.0f} s remained, and it needs {needs:.0f} s")
            self.write()
            return None
        self.say(f"{what} ...")
        try:
            return act()
        except Exception as error:
            self.error(what, error)
            return None

    def error(self, what: str, error: BaseException | str) -> None:
        """Store an error with the last lines of its traceback."""
        if isinstance(error, BaseException):
            lines = last_lines("".join(traceback.format_exception(error)))
        else:
            lines = last_lines(error)
        self.values["errors"].append({"what": what, "lines": lines})
        print("\n".join(lines), file=sys.stderr, flush=True)
        self.write()

    def end(self) -> None:
        """Store that the part did all it could."""
        self.values["status"] = "failed" if self.values["errors"] else "done"
        self.write()


def environment() -> dict[str, Any]:
    """Return the machine and the versions that figures depend on."""
    import platform
    import subprocess

    import torch

    from tina_framework import __version__
    from tina_framework.training.export import git_commit

    found: dict[str, Any] = {
        "commit": git_commit() or os.environ.get("GPU_COMMIT"),
        "tina": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "processors": os.cpu_count(),
        "device": "cpu",
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["device"] = properties.name
        found["device_memory_gb"] = round(properties.total_memory / 1e9, 1)
        try:
            words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
            found["driver"] = done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            found["driver"] = None
    return found
