"""What a checkpoint stores of a run besides tensors: `state.json`, with checks of every value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, shorten
from tina_framework.storage.files import read_json

__all__ = ["LogWindow", "RunState", "read_state"]


@dataclass
class LogWindow:
    """The steps since the last line of the log. The next line averages over them, also after a resume.

    Attributes:
        steps: number of steps.
        sums: name of an objective -> sum of its losses.
        seconds: time spent in these steps.
    """

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, losses: Mapping[str, float], seconds: float) -> None:
        """Add the losses of a step, and the seconds that it took."""
        self.steps += 1
        self.seconds += seconds
        # Added in order and not by `math.fsum`, so that a resumed run adds the same floats in the same order.
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return the mean loss of each objective."""
        return {name: total / self.steps for name, total in self.sums.items()}


@dataclass
class RunState:
    """The contents of `state.json`.

    Attributes:
        step: number of optimizer steps.
        ema_updates: number of updates of the averaged weights.
        seconds: time spent in steps.
        processes: number of processes.
        config: the training settings, as JSON values.
        fingerprints: hashes of the data, the zoo and the text vectors.
        log_lines: number of lines in the log. Later lines are written again by a resumed run.
        log_sha256: hash of these lines.
        window: the steps since the last line of the log.
        best: step and accuracy of the best validation, None before the first one.
        validation: figures of the last validation, with its step; None before the first one.
        scaler: the state of the loss scaler, None without fp16.
    """

    step: int
    ema_updates: int
    seconds: float
    processes: int
    config: dict[str, Any]
    fingerprints: dict[str, str]
    log_lines: int = 0
    log_sha256: str = ""
    window: LogWindow = field(default_factory=LogWindow)
    best: dict[str, Any] | None = None
    validation: dict[str, Any] | None = None
    scaler: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunState:
        """Return the state of checked JSON values."""
        return cls(**{**values, "window": LogWindow(**values["window"])})


def read_state(path: Path) -> RunState:
    """Read the state of a run from a checkpoint.

    Raises:
        CheckpointError: the file is missing, or a value is missing, unknown or of the wrong type.
    """
    values = read_json(path)
    if not isinstance(values, Mapping) or values.keys() != _CHECKS.keys():
        raise CheckpointError(f"'{path}' does not hold the state of a training run. Resume from another checkpoint.")
    for name, (check, expected) in _CHECKS.items():
        if not check(values[name]):
            raise CheckpointError(
                f"'{path}': {name} is {shorten(values[name])}, which is not {expected}. Resume from another checkpoint."
            )
    return RunState.from_json(values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_seconds(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_table_of(value: Any, check: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(check(entry) for entry in value.values())


def _is_window(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == {"steps", "sums", "seconds"}
        and _is_count(value["steps"])
        and _is_table_of(value["sums"], _is_number)
        and _is_seconds(value["seconds"])
    )


def _is_best(value: Any) -> bool:
    if value is None:
        return True
    keys = isinstance(value, Mapping) and value.keys() == {"step", "accuracy"}
    return keys and _is_count(value["step"]) and _is_number(value["accuracy"])


_FIGURES = ("accuracy", "selection", "difference", "standard_error")


def _is_validation(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return False
    of_each = value.get("by_architecture", {})
    return (
        value.keys() - {"by_architecture", "shares"} == {"step", "num_tasks", "by_count", *_FIGURES}
        and _is_table_of(
            of_each, lambda figures: isinstance(figures, Mapping) and _is_validation({**figures, "step": 0})
        )
        and _is_table_of(value.get("shares", {"filters": 0, "rows": 0}), _is_number)
        and value.get("shares", {"filters": 0, "rows": 0}).keys() == {"filters", "rows"}
        and _is_count(value["step"])
        and _is_count(value["num_tasks"])
        and all(_is_number(value[name]) for name in _FIGURES)
        and _is_table_of(value["by_count"], lambda figures: _is_table_of(figures, _is_number))
        and all(str(count).isdecimal() and len(count) < 9 for count in value["by_count"])
    )


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "step": (_is_count, "a number of steps"),
    "ema_updates": (_is_count, "a number of updates"),
    "seconds": (_is_seconds, "a time in seconds"),
    "processes": (lambda value: _is_count(value) and value > 0, "a number of processes"),
    "config": (lambda value: isinstance(value, Mapping), "a table of settings"),
    "fingerprints": (
        lambda value: _is_table_of(value, lambda entry: isinstance(entry, str)),
        "a table of hashes",
    ),
    "log_lines": (_is_count, "a number of lines"),
    "log_sha256": (lambda value: isinstance(value, str), "a hash"),
    "window": (_is_window, "the losses since the last line of the log"),
    "best": (_is_best, "the step and the accuracy of a validation"),
    "validation": (_is_validation, "the figures of a validation"),
    "scaler": (lambda value: value is None or _is_table_of(value, _is_number), "the state of a loss scaler"),
}
"""Key of `state.json` -> its check, and what the message says that the value should be."""
