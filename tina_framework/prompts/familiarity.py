"""How likely a class is one that a generator was trained on, from the similarity of its prompt with the known names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tina_framework.errors import ConfigError, DataError

__all__ = ["WARN_BELOW", "Familiarity"]

WARN_BELOW = 0.5
"""A class of lower familiarity is rather a strange one than a known one."""

Coefficients = tuple[float, float, float, float]
"""Intercept, factors on the greatest cosine, on the logarithm of the number of pictures or words, and on the product of both."""

_DEFAULT: Mapping[str, Coefficients] = {
    "text": (-4.5, 8.5, 0.0, 0.0),
    "images": (-5.0, 9.0, 0.0, 0.0),
    "vector": (-4.5, 8.5, 0.0, 0.0),
}
_STEPS = 200
_PENALTY = 1e-3


class Familiarity:
    """A logistic line for each kind of prompt: probability that a class is known.

    It is fitted to prompts of known classes, once with all known names to compare with and once with the own name removed, as if the class were a
    strange one (`fit`). So 0.5 means that both are equally likely.

    Args:
        lines: kind -> line. Kinds that are missing are read by the built-in line.
    """

    def __init__(self, lines: Mapping[str, Coefficients]) -> None:
        self._fitted = dict(lines)
        self.coefficients: dict[str, Coefficients] = {**_DEFAULT, **lines}

    @classmethod
    def default(cls) -> Familiarity:
        """For encoders that nothing was fitted to."""
        return cls({})

    def probability(self, kind: str, cosine: float, number: int = 1) -> float:
        """The probability, for the greatest cosine with a known name. `number`: of pictures, or of words."""
        intercept, by_cosine, by_number, by_both = self.coefficients[kind]
        many = math.log(max(1, number))
        value = intercept + by_cosine * cosine + (by_number + by_both * cosine) * many
        return 1.0 / (1.0 + math.exp(-min(max(value, -50.0), 50.0)))

    @staticmethod
    def fit(known: Sequence[tuple[float, int]], strange: Sequence[tuple[float, int]]) -> Coefficients:
        """Logistic regression (Newton's method, a slight ridge penalty; both sides weigh the same).

        Args:
            known: (greatest cosine, number of pictures or words) of prompts whose class is among the names compared with.
            strange: the same of prompts whose class is not.

        Raises:
            DataError: one side is empty, or a value is not finite.
        """
        if not known or not strange:
            raise DataError("Familiarity cannot be fitted without prompts of known and of strange classes; give both.")
        rows = [*known, *strange]
        many = [math.log(max(1, number)) for _, number in rows]
        x = np.array([[1.0, cosine, number, cosine * number] for (cosine, _), number in zip(rows, many, strict=True)])
        if not np.isfinite(x).all():
            raise DataError("A cosine to fit familiarity to is not finite; the encoder is at fault.")
        y = np.array([1.0] * len(known) + [0.0] * len(strange))
        weight = np.array([0.5 / len(known)] * len(known) + [0.5 / len(strange)] * len(strange))
        line = np.zeros(4)
        ridge = _PENALTY * np.diag([0.0, 1.0, 1.0, 1.0])
        for _ in range(_STEPS):
            p = 1.0 / (1.0 + np.exp(-np.clip(x @ line, -50, 50)))
            gradient = x.T @ (weight * (p - y)) + ridge @ line
            curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge + 1e-9 * np.eye(4)
            step = np.linalg.solve(curvature, gradient)
            line = line - step
            if float(np.abs(step).max()) < 1e-9:
                break
        return float(line[0]), float(line[1]), float(line[2]), float(line[3])

    def to_json(self) -> dict[str, list[float]]:
        """The lines it was given."""
        return {kind: [round(value, 4) for value in line] for kind, line in self._fitted.items()}

    @classmethod
    def from_json(cls, values: Any, source: str) -> Familiarity:
        """Inverse of `to_json`.

        Raises:
            ConfigError: it is not kinds with four finite numbers each.
        """
        fine = isinstance(values, Mapping) and all(
            kind in _DEFAULT
            and isinstance(line, list)
            and len(line) == 4
            and all(isinstance(number, int | float) and math.isfinite(number) for number in line)
            for kind, line in values.items()
        )
        if not fine:
            raise ConfigError(
                f"{source}: familiarity is {values!r}; expected four numbers for each of {', '.join(_DEFAULT)}."
            )
        return cls({kind: (float(a), float(b), float(c), float(d)) for kind, (a, b, c, d) in values.items()})
