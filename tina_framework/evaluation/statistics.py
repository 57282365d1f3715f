"""Mean, spread and 95 % intervals over tasks, and paired differences. Standard library only.

Intervals are Student's t intervals: mean ± t(0.975, n - 1) · s / sqrt(n), where s is the sample standard deviation.
They say how far the mean may move with other tasks of the same kind. The test images are taken as fixed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Summary", "paired", "student_t_cdf", "student_t_quantile", "summarize"]


@dataclass(frozen=True)
class Summary:
    """Statistics of n values.

    Attributes:
        n: how many values.
        mean: their mean.
        std: sample standard deviation (divisor n - 1); None for a single value.
        ci95: lower and upper end of the 95 % interval of the mean; None for a single value.
    """

    n: int
    mean: float
    std: float | None
    ci95: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Return ``{"mean", "std", "ci95"}``. The last two are null for a single value."""
        return {"mean": self.mean, "std": self.std, "ci95": None if self.ci95 is None else list(self.ci95)}


def summarize(values: Sequence[float]) -> Summary:
    """Return mean, sample standard deviation and 95 % t interval.

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("No values to summarise.")
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean, None, None)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = student_t_quantile(0.975, n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, (mean - half, mean + half))


def paired(values: Sequence[float], reference: Sequence[float]) -> Summary:
    """Summarise the differences `values[i] - reference[i]` of two methods on the same tasks."""
    return summarize([value - other for value, other in zip(values, reference, strict=True)])


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function by Lentz's method.

    The fraction is 26.5.8 of Abramowitz & Stegun, *Handbook of Mathematical Functions*.
    """
    tiny = 1e-300
    front, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    c, value = front, d
    for m in range(1, 400):
        for coefficient in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + coefficient * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + coefficient / c
            c = c if abs(c) > tiny else tiny
            value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) for 0 <= x <= 1."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):  # the continued fraction converges fast here
        return math.exp(log_front) * _beta_fraction(a, b, x) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(b, a, 1.0 - x) / b


def student_t_cdf(t: float, degrees: int) -> float:
    """Return P(T <= t) for Student's t distribution."""
    tail = 0.5 * _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
    return 1.0 - tail if t > 0 else tail


@functools.cache
def student_t_quantile(probability: float, degrees: int) -> float:
    """Return the t with P(T <= t) = `probability`, found by bisection to about 1e-10.

    Raises:
        ValueError: the probability is not strictly between 0.5 and 1, or `degrees` is below 1.
    """
    if not 0.5 < probability < 1.0 or degrees < 1:
        raise ValueError(f"Need 0.5 < probability < 1 and degrees >= 1; got {probability} and {degrees}.")
    low, high = 0.0, 1.0
    while student_t_cdf(high, degrees) < probability:
        high *= 2.0
    while high - low > 1e-12 * max(1.0, high):
        middle = 0.5 * (low + high)
        if student_t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
