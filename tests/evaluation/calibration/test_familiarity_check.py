"""AUROC and rank correlation."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.evaluation.calibration.familiarity_check import auroc, mixed_tasks, spearman
from tina_framework.zoo.reservation import partition_of

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
    assert spearman([], []) is None


def test_class_sets_that_training_may_draw_are_left_out_and_end_no_run() -> None:
    """All of two unseen classes are one class set; where it belongs to training, there is no such task."""
    pair = next(p for i in range(99) if partition_of(p := (f"a{i}", f"b{i}")) == "train")
    request = SimpleNamespace(num_classes=2, num_tasks=4, image_split="test", task_seed=0)
    measurer: Any = SimpleNamespace(request=request, unseen=pair, known=tuple(f"c{i}" for i in range(30)))
    tasks, unseen = mixed_tasks(measurer)
    assert unseen == [0, 0]
    assert {partition_of(task) for task in tasks} == {"test"}
