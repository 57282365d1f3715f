"""Scores and thresholds of abstention, and what saved folders say about them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.classifier.abstention import (
    AbstentionThresholds,
    abstention_scores,
    check_threshold,
    read_threshold,
    write_threshold,
)
from tina_framework.errors import ConfigError

CALIBRATED = AbstentionThresholds(0.9, {10: 2.0, 2: 1.0, 4: 1.5}, "toy")


def test_the_score_is_the_greatest_logit_in_float32() -> None:
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.5, 0.0]], dtype=torch.bfloat16)
    scores = abstention_scores(logits)
    assert scores.tolist() == [5.0, 1.0]
    assert scores.dtype == torch.float32


def test_between_calibrated_counts_thresholds_are_interpolated() -> None:
    thresholds = {count: value for count in range(12) if (value := CALIBRATED.threshold(count)) is not None}
    assert thresholds == pytest.approx(
        {2: 1.0, 3: 1.25, 4: 1.5, 5: 1.5 + 0.5 / 6, 6: 1.5 + 1 / 6, 7: 1.75, 8: 1.5 + 2 / 6, 9: 1.5 + 2.5 / 6, 10: 2.0}
    )


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.floats(0.01, 1), st.dictionaries(st.integers(2, 100), numbers, min_size=1), st.text(min_size=1))
def test_what_is_written_is_read(kept: float, thresholds: dict[int, float], encoder: str) -> None:
    abstention = AbstentionThresholds(kept, thresholds, encoder)
    assert AbstentionThresholds.from_dict(abstention.to_dict()) == abstention
    threshold = abstention.threshold(min(thresholds))
    assert threshold is not None
    assert read_threshold(write_threshold(threshold)) == threshold


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": "energy"}, "'energy', but this program reads thresholds of 'max-logit' alone; remove the key"),
        ({"kept": 0}, "above 0 and at most 1"),
        ({"kept": True}, "finite number"),
        ({"thresholds": {}}, "not a table by class count"),
        ({"thresholds": [1.0]}, "not a table by class count"),
        ({"thresholds": {"two": 1.0}}, "not a table by class count"),
        ({"thresholds": {"1": 1.0}}, "for 1 classes"),
        ({"thresholds": {"2": "1"}}, "finite number"),
        ({"thresholds": {"2": math.nan}}, "finite number"),
        ({"encoder": ""}, "must be a name"),
        ({"more": 1}, "needs exactly"),
    ],
)
def test_wrong_calibrations_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        AbstentionThresholds.from_dict(CALIBRATED.to_dict() | changes)


def test_a_threshold_of_another_score_is_refused() -> None:
    with pytest.raises(ConfigError, match="calibrate the generator again with `tina calibrate`"):
        read_threshold({"score": "margin", "threshold": 0.5})


@pytest.mark.parametrize("value", [math.inf, math.nan, "1", None, False, 10**400])
def test_thresholds_are_finite_numbers(value: object) -> None:
    with pytest.raises(ConfigError, match="finite number"):
        check_threshold(value)
    assert check_threshold(np.float32(2.5)) == 2.5
