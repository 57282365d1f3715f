"""Test the logistic regression of familiarity."""

from __future__ import annotations

import math
import random

import pytest

from tina_framework.errors import ConfigError, DataError
from tina_framework.prompts.familiarity import Familiarity


def test_a_fit_recovers_the_coefficients_of_the_data() -> None:
    draws = random.Random(0)
    known, strange = [], []
    for _ in range(40_000):
        cosine, pictures = draws.uniform(-1, 1), draws.choice([1, 5, 20])
        z = -1.0 + 4.0 * cosine + 0.5 * math.log(pictures) + 1.0 * cosine * math.log(pictures)
        (known if draws.random() < 1 / (1 + math.exp(-z)) else strange).append((cosine, pictures))
    line = Familiarity.fit(known, strange)
    reading = Familiarity({"images": line})
    # Both sides weigh the same in a fit: the odds move by the ratio of their numbers.
    shift = math.log(len(strange) / len(known))
    for cosine in (-0.5, 0.2, 0.9):
        for pictures in (1, 20):
            z = -1.0 + 4.0 * cosine + (0.5 + cosine) * math.log(pictures) + shift
            assert reading.probability("images", cosine, pictures) == pytest.approx(1 / (1 + math.exp(-z)), abs=0.03)


def test_familiarity_rises_with_the_cosine() -> None:
    reading = Familiarity.default()
    for kind in ("text", "images", "vector"):
        values = [reading.probability(kind, cosine / 10) for cosine in range(11)]
        assert values == sorted(values)
        assert 0 < values[0] < 0.5 < values[-1] < 1


def test_separable_groups_give_finite_coefficients() -> None:
    line = Familiarity.fit([(0.9, 1)] * 20, [(0.1, 1)] * 20)
    assert all(math.isfinite(value) for value in line)


def test_a_single_group_is_refused() -> None:
    with pytest.raises(DataError, match="1 prompts of known and 0 of unknown"):
        Familiarity.fit([(0.9, 1)], [])


def test_json_round_trip_and_refusals() -> None:
    reading = Familiarity({"images": (-1.0, 2.0, 0.25, 0.5)})
    back = Familiarity.from_json(reading.to_json(), "here")
    assert back.coefficients == reading.coefficients
    for wrong in ([], {"images": [1, 2]}, {"smell": [1.0, 2.0, 3.0, 4.0]}, {"text": [1.0, 2.0, 3.0, float("nan")]}):
        with pytest.raises(ConfigError, match="here: familiarity"):
            Familiarity.from_json(wrong, "here")
