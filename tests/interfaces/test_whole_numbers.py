"""Whole numbers from callers: scalars of NumPy and torch count, truth values and fractions do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.interfaces.whole_numbers import check_seed, plain_number, whole_number

REFUSED = [True, np.bool_(True), torch.tensor(True), 3.0, np.float64(3), "3", None, np.array([1, 2]), [3]]


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_integers_become_plain(value: Any) -> None:
    assert type(check_seed(value)) is int
    assert whole_number(value, "steps", 1) == 3
    assert type(plain_number(value)) is int


@pytest.mark.parametrize("value", [*REFUSED, -1, 2**70, np.uint64(2**64 - 1)])
def test_other_seeds_are_one_sentence(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^The seed is .*; it must be a whole number from 0 to 2\^63 - 1\.$"):
        check_seed(value)


@pytest.mark.parametrize("value", [*REFUSED, 0, 11])
def test_other_numbers_are_one_sentence(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^steps is .*; it must be a whole number from 1 to 10\.$"):
        whole_number(value, "steps", 1, 10)


def test_what_is_no_scalar_stays() -> None:
    array = np.zeros(2)
    assert plain_number(array) is array
    assert plain_number("x") == "x"
