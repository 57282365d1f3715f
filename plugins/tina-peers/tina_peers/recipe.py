"""Settings of peers and of their training, and how they are read from words of a command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_type_hints

from tina_framework.errors import ConfigError

__all__ = ["PeerSettings", "Recipe", "checked", "field_types"]

OBJECTIVES = ("weights", "task")
MOST = 65_536
"""The greatest size of a peer. It keeps an altered file from asking for a network without end."""


@dataclass(frozen=True)
class PeerSettings:
    """Sizes of a peer's networks, and how it samples. Each peer has a subclass.

    Raises:
        ConfigError: a whole number is below 1, another one is negative, or one is above `MOST`.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ()
    """The whole numbers for which 0 has a meaning."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, str | bool):
                continue
            least = 1 if isinstance(value, int) and name not in self.may_be_zero else 0
            if not least <= value <= MOST:
                raise ConfigError(f"Setting {name} is {value}; it must be a number from {least} to {MOST:,}.")


@dataclass(frozen=True)
class Recipe:
    """How a peer is trained: AdamW, a linear warm-up, a cosine decay to zero, an average of the weights.

    Attributes:
        steps: number of optimiser steps, of all phases together.
        batch_size: number of tasks (or p-Models) of a step.
        images_per_task: number of training images of each task; for the objective ``task``.
        lr: peak learning rate.
        weight_decay: weight decay.
        warmup: share of the steps of a phase with a rising learning rate.
        max_grad_norm: greatest norm of the gradient; longer ones are shortened.
        ema_decay: decay of the moving average of the weights, which is what is measured and saved.
        condition_noise: length of noise on a conditioning vector, relative to the vector's.
        full_share: share of the steps whose tasks have `max_classes` classes; the others have from 2 on.
        max_classes: the greatest class count of a training task; both for the objective ``task``.
        image_shift: how many pixels training images are shifted at most; for the objective ``task``.
        whitening: damping of the whitening of differences, as the setting of `tina train`; 0 for plain differences, which the
            papers write.
        objective: ``weights`` (the peer's own loss on p-Models) or ``task`` (cross-entropy of the generated networks).
        seed: seed of every random draw.
    """

    steps: int = 2000
    batch_size: int = 8
    images_per_task: int = 200
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    max_grad_norm: float = 1.0
    ema_decay: float = 0.998
    condition_noise: float = 0.05
    full_share: float = 0.7
    max_classes: int = 10
    image_shift: int = 0
    whitening: float = 0.0
    objective: str = "task"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "images_per_task", "lr", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"Setting {name} is {getattr(self, name)}; it must be a finite number above 0.")
        for name in ("warmup", "ema_decay", "full_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"Setting {name} is {getattr(self, name)}; it must lie between 0 and 1.")
        for name in ("weight_decay", "condition_noise", "image_shift", "whitening"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"Setting {name} is {getattr(self, name)}; it must be a finite number of at least 0.")
        if self.max_classes < 2:
            raise ConfigError(f"Setting max_classes is {self.max_classes}; a task has at least 2 classes.")
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"Setting objective is '{self.objective}'; choose one of {', '.join(OBJECTIVES)}.")

    def rate(self, step: int, phases: int = 1) -> float:
        """Return the share of the peak learning rate in a step; steps count from 0. Each phase has its own schedule."""
        _, start, end = self.phase(step, phases)
        rising = self.warmup * (end - start)
        step -= start
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, end - start - rising)))

    def phase(self, step: int, phases: int) -> tuple[int, int, int]:
        """Return the phase of a step, counted from 0, and the steps at which it starts and ends."""
        bounds = [round(self.steps * i / phases) for i in range(phases + 1)]
        phase = max(i for i in range(phases) if bounds[i] <= step)
        return phase, bounds[phase], bounds[phase + 1]


Settings = TypeVar("Settings")


def field_types(kind: type[Any]) -> dict[str, type[Any]]:
    """Return name -> type (int, float, bool or str) of the fields of a settings class."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def checked(kind: type[Settings], values: Mapping[str, Any], source: str) -> Settings:
    """Make settings of JSON values.

    Args:
        kind: the settings class.
        values: one value for each field.
        source: where they come from, for the message.

    Raises:
        ConfigError: a field is missing or unknown, or a value has the wrong type or range.
    """
    types = field_types(kind)
    odd = sorted(types.keys() ^ values.keys())
    if odd:
        raise ConfigError(f"{source} lacks or does not know {', '.join(odd)}.")
    for name, expected in types.items():
        allowed = (int, float) if expected is float else (expected,)
        if type(values[name]) not in allowed:
            raise ConfigError(f"{source}: {name} is {values[name]!r}, which is not of type {expected.__name__}.")
    return kind(**values)
