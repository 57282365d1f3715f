"""Fixed-point numbers, against exact arithmetic with Python's integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.builtins.exporters.c.fixed_point import (
    INT32_MAX,
    MAX_SHIFT,
    fixed,
    reciprocal_root,
    requantised,
    shifted_rounded,
)

EDGES = [0, 1, -1, 2, -2, 127, -128, 2**15, 2**30 - 1, 2**30, 2**31 - 1, -(2**31) + 1, -(2**31)]


@given(st.floats(2.0**-31, 2.0**29, exclude_max=True))
def test_a_factor_is_kept_to_31_bits(factor: float) -> None:
    mantissa, shift = fixed(factor)
    assert 2**30 <= mantissa <= INT32_MAX
    assert 1 <= shift <= MAX_SHIFT
    assert abs(Fraction(mantissa, 2**shift) / Fraction(factor) - 1) <= Fraction(1, 2**30)


@pytest.mark.parametrize("factor", [0.0, 2.0**-70, -0.37, 1 - 2.0**-40, math.nextafter(2.0**29, 0)])
def test_edges_of_factors(factor: float) -> None:
    mantissa, shift = fixed(factor)
    assert abs(mantissa) <= INT32_MAX
    assert 1 <= shift <= MAX_SHIFT
    assert mantissa / 2**shift == pytest.approx(factor, rel=2e-9, abs=2.0**-62)


@pytest.mark.parametrize("factor", [2.0**29, math.inf, math.nan])
def test_factors_without_a_form(factor: float) -> None:
    with pytest.raises(ValueError, match="no fixed-point form"):
        fixed(factor)


@pytest.mark.parametrize("value", EDGES)
@pytest.mark.parametrize("mantissa", [2**30, 2**31 - 1, 1, 0, 1_500_000_001])
@pytest.mark.parametrize("shift", [1, 2, 31, 32, 61, 62])
def test_requantised_is_the_rounded_product(value: int, mantissa: int, shift: int) -> None:
    exact = math.floor(Fraction(value * mantissa, 2**shift) + Fraction(1, 2))
    assert requantised(value, mantissa, shift, -3, -128, 127) == max(-128, min(127, exact - 3))
    assert shifted_rounded(value * mantissa, shift) == exact


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, INT32_MAX), st.integers(1, MAX_SHIFT))
def test_requantised_of_any_numbers(value: int, mantissa: int, shift: int) -> None:
    exact = math.floor(Fraction(value * mantissa, 2**shift) + Fraction(1, 2))
    assert shifted_rounded(value * mantissa, shift) == exact


@given(st.integers(1, 2**62 - 1))
def test_reciprocal_root_is_exact_integer_arithmetic(value: int) -> None:
    root, k = (int(number) for number in reciprocal_root(value))
    assert 2**60 <= value * 4**k < 2**62
    assert root == 2**61 // math.isqrt(value * 4**k)
    assert 2**30 <= root <= 2**31
    assert root * 2.0 ** (k - 61) == pytest.approx(value**-0.5, rel=3e-9)


def test_reciprocal_roots_of_squares() -> None:
    values = np.array([1, 3, 4, 2**60 - 1, 2**60, (2**31 - 1) ** 2, (2**31 - 1) ** 2 - 1, 2**62 - 1], np.int64)
    roots, k = reciprocal_root(values)
    assert [int(r) for r in roots] == [
        2**61 // math.isqrt(int(v) * 4 ** int(e)) for v, e in zip(values, k, strict=True)
    ]
