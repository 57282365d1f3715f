"""Scores, rules and calibrations of abstention."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.classifier.abstention import SCORES, Abstention, AbstentionRule, rule_for, score_of
from tina_framework.errors import ConfigError

CALIBRATED = Abstention("max-logit", 0.9, {10: 2.0, 2: 1.0, 4: 1.5}, "toy")


@pytest.mark.parametrize("score", SCORES)
def test_a_clear_picture_scores_above_an_unclear_one(score: str) -> None:
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.9, 0.0], [0.0, 0.0, 0.0]])
    clear, unclear, flat = score_of(score, logits).tolist()
    assert clear > unclear > flat


def test_scores_are_what_they_are_called() -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0]])
    p = torch.softmax(logits[0].double(), 0).tolist()
    found = {score: score_of(score, logits).item() for score in SCORES}
    assert found == pytest.approx(
        {
            "max-softmax": p[0],
            "max-logit": 2.0,
            "energy": math.log(sum(map(math.exp, (2.0, 1.0, -1.0)))),
            "margin": p[0] - p[1],
            "entropy": sum(x * math.log(x) for x in p),
        },
        rel=1e-5,
    )


def test_between_calibrated_counts_thresholds_are_interpolated() -> None:
    thresholds = {count: rule.threshold for count in range(12) if (rule := CALIBRATED.rule(count)) is not None}
    assert thresholds == pytest.approx(
        {2: 1.0, 3: 1.25, 4: 1.5, 5: 1.5 + 0.5 / 6, 6: 1.5 + 1 / 6, 7: 1.75, 8: 1.5 + 2 / 6, 9: 1.5 + 2.5 / 6, 10: 2.0}
    )


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.sampled_from(sorted(SCORES)),
    st.floats(0.01, 1),
    st.dictionaries(st.integers(2, 100), numbers, min_size=1),
    st.text(min_size=1),
)
def test_what_is_written_is_read(score: str, kept: float, thresholds: dict[int, float], encoder: str) -> None:
    abstention = Abstention(score, kept, thresholds, encoder)
    assert Abstention.from_dict(abstention.to_dict()) == abstention
    rule = abstention.rule(min(thresholds))
    assert rule is not None
    assert AbstentionRule.from_dict(rule.to_dict()) == rule


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": "luck"}, "Unknown score of abstention 'luck'"),
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
        Abstention.from_dict(CALIBRATED.to_dict() | changes)


@pytest.mark.parametrize("value", [math.inf, math.nan, "1", None, False, 10**400])
def test_thresholds_are_finite_numbers(value: float) -> None:
    with pytest.raises(ConfigError, match="finite number"):
        AbstentionRule("energy", value)


def test_an_own_number_keeps_the_score() -> None:
    own = AbstentionRule("energy", 1.0)
    assert rule_for(own, True, "") is own
    assert rule_for(own, np.float32(2.5), "") == AbstentionRule("energy", 2.5)  # type: ignore[arg-type]
    assert rule_for(None, 2, "").score == "max-logit"
    with pytest.raises(ConfigError, match=r"no threshold to abstain by \(reasons\)"):
        rule_for(None, True, "reasons")
