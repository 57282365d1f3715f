"""The settings of fine-tuning, and their defaults for few and for many pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tina_framework.errors import ConfigError

__all__ = ["FineTuneSettings"]


@dataclass(frozen=True)
class FineTuneSettings:
    """How to fine-tune. `for_pictures` has the defaults.

    Args:
        steps: steps of the optimiser.
        lr: learning rate at the start, as a share of each tensor's root mean square a step.
        shared: factor on `lr` for tensors that all classes share (the convolutions); 0 trains the class rows alone.
        pull: how strongly values are pulled back to where they started, against the evidence of the pictures; see `loop`.
            A network that the pictures fit already is left nearly as it is, and many pictures move it further than few.
        batch_size: pictures a step, at most all there are.
        flip: mirror pictures left to right with probability 1/2.
        shift: pictures are moved by up to this share of their height and width; not done behind a frozen trunk.

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
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
        for name in ("lr", "shared", "pull", "shift"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value!r}; it must be a number of at least 0.")
        if not 0 < self.lr <= 1 or self.shift > 0.5:
            raise ConfigError(
                f"lr is {self.lr} and shift {self.shift}; lr lies above 0 and up to 1, and shift at most 0.5."
            )

    @classmethod
    def for_pictures(cls, per_class: int) -> FineTuneSettings:
        """The defaults for that many pictures a class: those of the nearest known number, as a ratio."""
        nearest = min(_KNOWN, key=lambda known: abs(math.log(known / max(per_class, 1))))
        return cls(**_KNOWN[nearest])


_KNOWN: dict[int, dict[str, Any]] = {
    1: {"steps": 50, "lr": 0.02, "pull": 2000.0},
    5: {"steps": 60, "lr": 0.02, "pull": 2000.0},
    20: {"steps": 100, "lr": 0.02, "pull": 400.0},
    50: {"steps": 150, "lr": 0.02, "pull": 400.0},
    100: {"steps": 200, "lr": 0.02, "pull": 400.0},
}
"""Cautious: with few pictures that look like those a generator was trained on, a weaker pull makes the classifier worse. Pictures unlike
them would gain more with a weaker one; benchmarks/shots.py measures either, with `--look` plain, grey and dark."""
