"""Integer arithmetic that a device and NumPy do alike, bit for bit.

A real factor is a mantissa times 2^-shift, and a result is rounded once, halves upwards (Jacob et al. 2018, arXiv 1712.05877,
section 2.2, equations 5 and 6). `>>` on NumPy's signed integers rounds down, and so does ``shifted`` in ``kernels.c``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["INT32_MAX", "MAX_SHIFT", "fixed", "reciprocal_root", "requantised", "shifted_rounded"]

Integers = npt.NDArray[np.int64]

INT32_MAX = 2**31 - 1

MAX_SHIFT = 62
"""Largest shift of a product of 64 bits."""


def fixed(factor: float, max_shift: int = MAX_SHIFT) -> tuple[int, int]:
    """Return (mantissa, shift) with mantissa / 2^shift close to the factor, and 2^30 <= |mantissa| < 2^31 where possible.

    Args:
        factor: below 2^29.
        max_shift: very small factors get a smaller mantissa instead of a larger shift.

    Raises:
        ValueError: the factor is too large or not finite.
    """
    if not math.isfinite(factor) or abs(factor) >= 2.0**29:
        raise ValueError(f"The factor {factor} has no fixed-point form.")
    if factor == 0:
        return 0, 1
    _, exponent = math.frexp(factor)  # |factor| = m * 2^exponent with 0.5 <= m < 1
    shift = min(31 - exponent, max_shift)
    mantissa = round(math.ldexp(factor, shift))
    if abs(mantissa) > INT32_MAX:  # rounded up to 2^31
        shift -= 1
        mantissa = round(math.ldexp(factor, shift))
    return mantissa, shift


def shifted_rounded(products: Any, shift: Any) -> Integers:
    """Return products / 2^shift, rounded to the nearest integer, halves upwards. `shift` is at least 1."""
    wide, places = np.asarray(products, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    half = np.left_shift(np.int64(1), places - 1)
    result: Integers = np.right_shift(wide + half, places)
    return result


def requantised(values: Any, mantissa: Any, shift: Any, zero: int, low: int, high: int) -> Integers:
    """Return zero + values * mantissa / 2^shift, rounded, between `low` and `high`."""
    products = np.asarray(values, dtype=np.int64) * np.asarray(mantissa, dtype=np.int64)
    return np.clip(shifted_rounded(products, shift) + zero, low, high)


def reciprocal_root(values: Any) -> tuple[Integers, Integers]:
    """Return (r, k) with r * 2^(k - 61) close to 1 / sqrt(value), and 2^30 <= r <= 2^31.

    Args:
        values: integers from 1 to 2^62 - 1.
    """
    wide = np.asarray(values, dtype=np.int64).copy()
    k = np.zeros_like(wide)
    while (small := wide < 2**60).any():
        wide[small] <<= 2
        k[small] += 1
    root = np.sqrt(wide.astype(np.float64)).astype(np.int64)
    # A float64 has 53 bits, so its root may be off by one.
    root -= root * root > wide
    root += (root + 1) * (root + 1) <= wide
    return np.int64(2**61) // root, k
