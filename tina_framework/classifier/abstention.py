"""Answering "none of these": how sure a network is of a picture, and from which score on its answer counts.

Shapes: N pictures, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DEFAULT_SCORE", "SCORES", "Abstention", "AbstentionRule", "rule_for", "score_of"]


def _entropy(logits_NK: Tensor) -> Tensor:
    return -(logits_NK.log_softmax(1) * logits_NK.softmax(1)).sum(1)


def _margin(logits_NK: Tensor) -> Tensor:
    best_N2 = logits_NK.softmax(1).topk(2, dim=1).values
    return best_N2[:, 0] - best_N2[:, 1]


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "max-softmax": lambda logits_NK: logits_NK.softmax(1).amax(1),
    "max-logit": lambda logits_NK: logits_NK.amax(1),
    "energy": lambda logits_NK: logits_NK.logsumexp(1),
    "margin": _margin,
    "entropy": lambda logits_NK: -_entropy(logits_NK),
}
"""Name -> (N, K) logits to (N,) scores; the higher, the surer. Greatest probability (Hendrycks and Gimpel, 2017), greatest logit
(Hendrycks et al., 2022), minus the energy (Liu et al., 2020), greatest minus second probability, minus the entropy."""

DEFAULT_SCORE = "max-logit"
"""Chosen on validation tasks: docs/guide/abstaining.md."""


def score_of(name: str, logits_NK: Tensor) -> Tensor:
    """(N,) scores of logits, in float32; the higher, the surer."""
    return SCORES[name](logits_NK.float())


def rule_for(own: AbstentionRule | None, given: float, why_none: str) -> AbstentionRule:
    """What a classifier goes by.

    Args:
        own: its own rule, if it has one.
        given: True: its own threshold; a number: that one, of the same score.
        why_none: why it may have no rule, for the message.

    Raises:
        ConfigError: True, but it has none; or the number is not finite.
    """
    if given is not True:
        return AbstentionRule(DEFAULT_SCORE if own is None else own.score, given)
    if own is None:
        raise ConfigError(
            f"This classifier has no threshold to abstain by ({why_none}); give one, or calibrate the generator with "
            "'tina calibrate' and generate again."
        )
    return own


@dataclass(frozen=True)
class AbstentionRule:
    """When one classifier abstains: where `score` is below `threshold`.

    Raises:
        ConfigError: no such score, or the threshold is no finite number.
    """

    score: str
    threshold: float

    def __post_init__(self) -> None:
        _check_score(self.score)
        object.__setattr__(self, "threshold", _number("threshold", self.threshold))

    def scores(self, logits_NK: Tensor) -> Tensor:
        """(N,) in float32; the higher, the surer."""
        return score_of(self.score, logits_NK)

    def refuses(self, logits_NK: Tensor) -> Tensor:
        """(N,) bool: from which pictures to abstain."""
        return self.scores(logits_NK) < self.threshold

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; `from_dict` reads it."""
        return {"score": self.score, "threshold": self.threshold}

    @classmethod
    def from_dict(cls, values: object) -> AbstentionRule:
        """Inverse of `to_dict`. Raises: ConfigError: keys are missing or unknown, or a value is wrong."""
        return cls(**_table(values, {"score", "threshold"}))


@dataclass(frozen=True)
class Abstention:
    """A generator's calibration: one threshold for all its classifiers of a class count.

    Attributes:
        score: a key of `SCORES`.
        kept: share of its right answers that a classifier keeps, on average over calibration tasks.
        thresholds: class count -> threshold; between two counts it is interpolated.
        encoder: what read the class names of the calibration tasks.

    Raises:
        ConfigError: a value has the wrong type or range.
    """

    score: str
    kept: float
    thresholds: Mapping[int, float]
    encoder: str

    def __post_init__(self) -> None:
        _check_score(self.score)
        _number("kept share", self.kept)
        if not 0 < self.kept <= 1:
            raise ConfigError(f"The kept share of abstention is {self.kept!r}; it must be above 0 and at most 1.")
        if not isinstance(self.encoder, str) or not self.encoder:
            raise ConfigError(f"The encoder of abstention is {self.encoder!r}; it must be a name.")
        if not isinstance(self.thresholds, Mapping) or not self.thresholds:
            raise ConfigError(f"The thresholds of abstention are {self.thresholds!r}, not a table by class count.")
        for count, threshold in self.thresholds.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 2:
                raise ConfigError(f"A threshold of abstention is for {count!r} classes; a count is a number from 2.")
            _number("threshold", threshold)
        object.__setattr__(self, "thresholds", dict(sorted(self.thresholds.items())))

    def rule(self, num_classes: int) -> AbstentionRule | None:
        """The rule for classifiers of that class count; None below the least and above the greatest calibrated count."""
        if num_classes in self.thresholds:
            return AbstentionRule(self.score, self.thresholds[num_classes])
        for below, above in pairwise(self.thresholds):
            if below < num_classes < above:
                share = (num_classes - below) / (above - below)
                value = (1 - share) * self.thresholds[below] + share * self.thresholds[above]
                return AbstentionRule(self.score, value)
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; `from_dict` reads it."""
        thresholds = {str(count): threshold for count, threshold in self.thresholds.items()}
        return {"score": self.score, "kept": self.kept, "thresholds": thresholds, "encoder": self.encoder}

    @classmethod
    def from_dict(cls, values: object) -> Abstention:
        """Inverse of `to_dict`. Raises: ConfigError: keys are missing or unknown, or a value is wrong."""
        given = _table(values, {"score", "kept", "thresholds", "encoder"})
        table = given["thresholds"]
        if not isinstance(table, Mapping) or not all(isinstance(key, str) and key.isdecimal() for key in table):
            raise ConfigError(f"The thresholds of abstention are {table!r}, not a table by class count.")
        return cls(given["score"], given["kept"], {int(key): value for key, value in table.items()}, given["encoder"])


def _table(values: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping) or set(values) != keys:
        raise ConfigError(f"Setting abstention is {values!r}; it needs exactly {', '.join(sorted(keys))}.")
    return dict(values)


def _check_score(score: object) -> None:
    if not isinstance(score, str) or score not in SCORES:
        raise ConfigError(f"Unknown score of abstention {score!r}; known are {', '.join(SCORES)}.")


def _number(name: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"The {name} of abstention is {value!r}; it must be a finite number.")
    return number
