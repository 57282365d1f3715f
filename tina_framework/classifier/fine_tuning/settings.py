"""The settings of fine-tuning, and their defaults for few and for many pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.whole_numbers import plain_number, whole_number

__all__ = ["FineTuneSettings", "HeadSettings"]


@dataclass(frozen=True)
class FineTuneSettings:
    """How to fine-tune. `for_pictures` returns the defaults.

    Args:
        steps: optimizer steps.
        lr: learning rate of the first step, relative to each tensor's root mean square.
        shared: factor on `lr` for tensors that all classes share (the convolutions); 0 trains only the tensors of the classes.
        pull: strength of the L2-SP penalty, which pulls parameters towards their start; see `loop` for the formula.
        batch_size: pictures per step; at most all pictures.
        flip: mirror pictures left to right with probability 1/2.
        shift: shift pictures at random by up to this share of their height and width; has no effect behind a frozen trunk.

    Raises:
        ConfigError: a value is out of range.
    """

    steps: int
    lr: float
    shared: float = 1.0
    pull: float = 0.0
    batch_size: int = 32
    flip: bool = True
    shift: float = 0.0625

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1)):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, least, 1_000_000))
        for name in ("lr", "shared", "pull", "shift"):
            value = plain_number(getattr(self, name))
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {shorten(value)}; it must be a number of at least 0.")
            object.__setattr__(self, name, value)
        flip = plain_number(self.flip)
        if not isinstance(flip, bool):
            raise ConfigError(f"flip is {shorten(flip)}; it must be True or False.")
        object.__setattr__(self, "flip", flip)
        if not 0 < self.lr <= 1 or self.shift > 0.5:
            raise ConfigError(
                f"lr is {shorten(self.lr)} and shift is {shorten(self.shift)}; lr must be above 0 and at most 1, and shift at most 0.5."
            )

    @classmethod
    def for_pictures(cls, per_class: int) -> FineTuneSettings:
        """Return the defaults for that many pictures per class: those of the nearest number that was tried, on a log scale."""
        nearest = min(_DEFAULTS, key=lambda tried: abs(math.log(tried / max(per_class, 1))))
        return cls(**_DEFAULTS[nearest])


@dataclass(frozen=True)
class HeadSettings:
    """How to fit a linear or cosine head on a frozen trunk; see `head` for the formula.

    Args:
        start: weight of the generated rows for one picture per class. It falls with the square root of the number of pictures.
        pull: strength of the L2 penalty on what the pictures add to the generated rows.
        steps: most steps of the optimizer (L-BFGS). It ends when the loss stops falling.

    Raises:
        ConfigError: a value is out of range.
    """

    start: float = 0.5
    pull: float = 0.003
    steps: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number(self.steps, "steps", 1, 1_000_000))
        for name, least in (("start", 0.0), ("pull", 1e-6)):
            value = plain_number(getattr(self, name))
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                raise ConfigError(f"{name} is {shorten(value)}; it must be a number of at least {least:g}.")
            object.__setattr__(self, name, value)


_DEFAULTS: dict[int, dict[str, Any]] = {
    1: {"steps": 50, "lr": 0.02, "pull": 2000.0},
    5: {"steps": 60, "lr": 0.02, "pull": 2000.0},
    20: {"steps": 100, "lr": 0.02, "pull": 400.0},
    50: {"steps": 150, "lr": 0.02, "pull": 400.0},
    100: {"steps": 200, "lr": 0.02, "pull": 400.0},
}
"""Pictures per class -> settings, chosen for pictures like those that the generator was trained on. There a weaker pull makes the
classifier worse; pictures of another look would gain from one. benchmarks/choose/shots.py measures both (`--look`)."""
