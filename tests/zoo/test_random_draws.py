"""Weighted choices and shuffles."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tina_framework.errors import ConfigError
from tina_framework.zoo.random_draws import choose, in_turn, shuffled, weights


def test_weights_of_zero_are_left_out():
    assert weights("scheme", {"a": 1, "b": 0}) == {"a": 1.0}


@pytest.mark.parametrize(
    ("given", "words"), [({"a": -1.0}, "'a' is -1"), ({"a": float("nan")}, "nan"), ({"a": 0.0}, "No scheme")]
)
def test_weights_out_of_range_are_refused(given, words):
    with pytest.raises(ConfigError, match=words):
        weights("scheme", given)


def test_choices_follow_the_weights():
    rng = random.Random(0)
    counts = Counter(choose(rng, {"a": 3.0, "b": 1.0}) for _ in range(4000))
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_shuffled_takes_each_value_once():
    assert sorted(shuffled(random.Random(0), range(6), 6)) == list(range(6))
    assert len(set(shuffled(random.Random(0), range(6), 4))) == 4


def test_groups_take_turns_until_one_is_empty():
    names = in_turn(random.Random(0), [["a1", "a2", "a3"], ["b1"]], 4)
    assert [name[0] for name in names] == ["a", "b", "a", "a"]
