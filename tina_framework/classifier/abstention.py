"""Answer "none of these": score how sure a network is of a picture, and compare the score with a threshold.

The score is the greatest logit (Hendrycks et al. 2022, arXiv 1911.11132). docs/experiments/ says what it was compared with.

Shapes: N pictures, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.whole_numbers import plain_number

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCORE", "AbstentionThresholds", "abstention_scores", "check_threshold", "read_threshold", "write_threshold"]

SCORE = "max-logit"
"""The name of the score in saved folders. A threshold means nothing for another score, so folders record it."""


def abstention_scores(logits_NK: Tensor) -> Tensor:
    """Return (N,) scores in float32: the greatest logit of each picture. The higher, the surer the network is."""
    return logits_NK.float().amax(1)


def check_threshold(value: object) -> float:
    """Return the threshold as a float.

    Raises:
        ConfigError: it is not a finite number.
    """
    return _number("threshold", value)


def write_threshold(threshold: float) -> dict[str, Any]:
    """Return what a classifier's `config.json` records; `read_threshold` reads it."""
    return {"score": SCORE, "threshold": threshold}


def read_threshold(values: object) -> float:
    """Return the threshold that `write_threshold` wrote.

    Raises:
        ConfigError: keys are missing or unknown, a value is wrong, or the threshold belongs to another score.
    """
    return check_threshold(_table(values, {"score", "threshold"})["threshold"])


@dataclass(frozen=True)
class AbstentionThresholds:
    """The calibration of a generator: one threshold per class count, for all classifiers that it generates.

    Attributes:
        kept: share of its correct answers that a classifier keeps, on average over the calibration tasks.
        thresholds: class count -> threshold; counts in between are interpolated linearly.
        encoder: name of the encoder that read the class names of the calibration tasks.

    Raises:
        ConfigError: a value has the wrong type or range.
    """

    kept: float
    thresholds: Mapping[int, float]
    encoder: str

    def __post_init__(self) -> None:
        _number("kept share", self.kept)
        if not 0 < self.kept <= 1:
            raise ConfigError(
                f"The kept share of abstention is {shorten(self.kept)}; it must be above 0 and at most 1."
            )
        if not isinstance(self.encoder, str) or not self.encoder:
            raise ConfigError(f"The encoder of abstention is {shorten(self.encoder)}; it must be a name.")
        if not isinstance(self.thresholds, Mapping) or not self.thresholds:
            raise ConfigError(
                f"The thresholds of abstention are {shorten(self.thresholds)}, not a table by class count."
            )
        for count, threshold in self.thresholds.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 2:
                raise ConfigError(
                    f"A threshold of abstention is for {shorten(count)} classes; the count must be an integer of at least 2."
                )
            check_threshold(threshold)
        object.__setattr__(self, "thresholds", dict(sorted(self.thresholds.items())))

    def threshold(self, num_classes: int) -> float | None:
        """Return the threshold for classifiers of that class count, or None outside the calibrated range of counts."""
        if num_classes in self.thresholds:
            return self.thresholds[num_classes]
        for below, above in pairwise(self.thresholds):
            if below < num_classes < above:
                share = (num_classes - below) / (above - below)
                return (1 - share) * self.thresholds[below] + share * self.thresholds[above]
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` reads them."""
        thresholds = {str(count): threshold for count, threshold in self.thresholds.items()}
        return {"score": SCORE, "kept": self.kept, "thresholds": thresholds, "encoder": self.encoder}

    @classmethod
    def from_dict(cls, values: object) -> AbstentionThresholds:
        """Read what `to_dict` returned.

        Raises:
            ConfigError: keys are missing or unknown, a value is wrong, or the thresholds belong to another score.
        """
        given = _table(values, {"score", "kept", "thresholds", "encoder"})
        table = given["thresholds"]
        if not isinstance(table, Mapping) or not all(isinstance(key, str) and key.isdecimal() for key in table):
            raise ConfigError(f"The thresholds of abstention are {shorten(table)}, not a table by class count.")
        return cls(given["kept"], {int(key): value for key, value in table.items()}, given["encoder"])


def _table(values: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping) or set(values) != keys:
        raise ConfigError(f"Setting abstention is {shorten(values)}; it needs exactly {', '.join(sorted(keys))}.")
    if values["score"] != SCORE:
        raise ConfigError(
            f"The score of abstention is {shorten(values['score'])}, but this program reads thresholds of '{SCORE}' alone; "
            "remove the key 'abstention' from config.json, and calibrate the generator again with `tina calibrate`."
        )
    return dict(values)


def _number(name: str, value: object) -> float:
    value = plain_number(value)
    try:
        # True is a number to Python; numpy.float32 is a Real, but not a float.
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an integer beyond the range of floats
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"The {name} of abstention is {shorten(value)}; it must be a finite number.")
    return number
