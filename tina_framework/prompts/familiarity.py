"""Estimate how likely a generator was trained on a class, from the similarity of its prompt to the known names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tina_framework.errors import ConfigError, DataError, shorten

__all__ = ["MIN_CONFIDENCE", "WARN_BELOW", "Familiarity"]

WARN_BELOW = 0.5
"""Below this probability a class is more likely unknown than known."""

MIN_CONFIDENCE = 0.5
"""Confidence below which an encoder is unsure what a text means, unless it has its own limit `warn_below`."""

Coefficients = tuple[float, float, float, float]
"""Intercept, and factors on c, log(n) and c * log(n).

Here c is the greatest cosine with a known name, and n the number of pictures or words.
"""

_DEFAULT: Mapping[str, Coefficients] = {
    "text": (-4.5, 8.5, 0.0, 0.0),
    "images": (-5.0, 9.0, 0.0, 0.0),
    "vector": (-4.5, 8.5, 0.0, 0.0),
}
_STEPS = 200
_MAX_COEFFICIENT = 1e30
"""Larger than any useful coefficient. JSON may hold integers that no float can hold."""
_PENALTY = 1e-3


class Familiarity:
    """A logistic regression for each kind of prompt: the probability that a class is known.

    It is fitted to prompts of known classes (`fit`). Each prompt is compared with all known names, and then again without
    its own name, as if its class were unknown. So 0.5 means that both cases are equally likely.

    Args:
        coefficients: kind (``text``, ``images``, ``vector``) -> coefficients. Missing kinds get built-in ones.
    """

    def __init__(self, coefficients: Mapping[str, Coefficients]) -> None:
        self._fitted = dict(coefficients)
        self.coefficients: dict[str, Coefficients] = {**_DEFAULT, **coefficients}

    @classmethod
    def default(cls) -> Familiarity:
        """Return the built-in estimate, for encoders without a fitted one."""
        return cls({})

    def probability(self, kind: str, cosine: float, number: int = 1) -> float:
        """Return the probability that a class is known.

        Args:
            kind: ``text``, ``images`` or ``vector``.
            cosine: greatest cosine of the prompt with a known name.
            number: number of pictures, or of words.
        """
        intercept, by_cosine, by_number, by_both = self.coefficients[kind]
        log_number = math.log(max(1, number))
        value = intercept + by_cosine * cosine + (by_number + by_both * cosine) * log_number
        # Limit the exponent, so that the exponential cannot overflow.
        return 1.0 / (1.0 + math.exp(-min(max(value, -50.0), 50.0)))

    @staticmethod
    def fit(known: Sequence[tuple[float, int]], unknown: Sequence[tuple[float, int]]) -> Coefficients:
        """Fit a logistic regression by Newton's method, with a small ridge penalty and equal weight for both groups.

        Args:
            known: (greatest cosine, number of pictures or words) of prompts whose own name is among those compared with.
            unknown: the same for prompts whose own name was left out.

        Raises:
            DataError: a group is empty, or a value is not finite.
        """
        if not known or not unknown:
            raise DataError(
                f"Familiarity has {len(known)} prompts of known and {len(unknown)} of unknown classes to fit; it needs both."
            )
        rows = [*known, *unknown]
        logs = [math.log(max(1, number)) for _, number in rows]
        x = np.array([[1.0, cosine, log, cosine * log] for (cosine, _), log in zip(rows, logs, strict=True)])
        if not np.isfinite(x).all():
            raise DataError("A cosine to fit familiarity to is not finite; check the encoder's vectors.")
        y = np.array([1.0] * len(known) + [0.0] * len(unknown))
        weight = np.array([0.5 / len(known)] * len(known) + [0.5 / len(unknown)] * len(unknown))
        theta = np.zeros(4)
        # The penalty keeps the coefficients finite if a cosine separates the groups. It does not apply to the intercept.
        ridge = _PENALTY * np.diag([0.0, 1.0, 1.0, 1.0])
        for _ in range(_STEPS):
            p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -50, 50)))
            gradient = x.T @ (weight * (p - y)) + ridge @ theta
            curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge + 1e-9 * np.eye(4)
            step = np.linalg.solve(curvature, gradient)
            theta = theta - step
            if float(np.abs(step).max()) < 1e-9:
                break
        return float(theta[0]), float(theta[1]), float(theta[2]), float(theta[3])

    def to_json(self) -> dict[str, list[float]]:
        """Return the fitted coefficients by kind, without the built-in ones."""
        return {kind: [round(value, 4) for value in values] for kind, values in self._fitted.items()}

    @classmethod
    def from_json(cls, values: Any, source: str) -> Familiarity:
        """Make it from the values of `to_json`.

        Args:
            values: kind -> four numbers.
            source: where the values come from, for messages.

        Raises:
            ConfigError: the values are not known kinds with four finite numbers each.
        """
        is_valid = isinstance(values, Mapping) and all(
            kind in _DEFAULT
            and isinstance(numbers, list)
            and len(numbers) == 4
            and all(isinstance(number, int | float) and abs(number) < _MAX_COEFFICIENT for number in numbers)
            for kind, numbers in values.items()
        )
        if not is_valid:
            raise ConfigError(
                f"{source}: familiarity is {shorten(values)}; expected four numbers for each of {', '.join(_DEFAULT)}."
            )
        return cls({kind: (float(a), float(b), float(c), float(d)) for kind, (a, b, c, d) in values.items()})
