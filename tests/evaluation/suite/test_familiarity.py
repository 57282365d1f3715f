"""AUROC and rank correlation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.evaluation.suite.familiarity import auroc, spearman

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


@given(VALUES, VALUES)
def test_auroc_counts_pairs(high: list[float], low: list[float]) -> None:
    pairs = [1.0 if h > x else 0.5 if h == x else 0.0 for h, x in itertools.product(high, low)]
    assert auroc(high, low) == pytest.approx(np.mean(pairs))


def test_auroc_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="both sides"):
        auroc([1.0], [])


def test_spearman_sees_order_alone() -> None:
    assert spearman([1, 2, 3, 10], [0.1, 0.2, 5, 6]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(np.corrcoef([0.5, 0.5, 2], [0, 1, 2])[0, 1])
    assert spearman([1, 1], [1, 2]) is None
