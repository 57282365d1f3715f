"""Results come in order, and an error stops what has not begun."""

from __future__ import annotations

import time

import pytest

from tina_framework.storage.parallel import in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow(number: int) -> int:
        time.sleep(0.02 * (number % 3))
        return -number

    assert list(in_threads(slow, range(20))) == [-number for number in range(20)]
    assert list(in_threads(slow, ())) == []


def test_after_an_error_the_rest_is_left_out() -> None:
    done = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("no")
        time.sleep(0.01)
        done.append(number)

    with pytest.raises(ValueError, match="no"):
        list(in_threads(work, range(1000)))
    assert len(done) < 900
