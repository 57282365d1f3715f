"""Methods that see a few photographs."""

from __future__ import annotations

import pytest
import torch
from photo_tables.few_pictures import POOL, Learner, class_means, divide, few_accuracies, logistic_regression
from photo_tables.photographs import Photographs


def photographs(per_class: int = 30) -> Photographs:
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(per_class)
    features = torch.eye(4)[labels] + 0.2 * torch.rand(len(labels), 4, generator=draws)
    return Photographs(("a", "b", "c", "d"), features, labels)


def test_no_photograph_is_both_learnt_from_and_measured() -> None:
    split = divide((3, 1), photographs(), 0)
    assert split.learn.shape == (2, POOL)
    assert not set(split.learn.flatten().tolist()) & set(split.measure.tolist())
    assert len(split.measure) == len(split.slots) == 20
    assert photographs().labels_N[split.measure].tolist() == [3] * 10 + [1] * 10
    assert torch.equal(split.learn, divide((3, 1), photographs(), 0).learn)
    assert not torch.equal(split.learn, divide((3, 1), photographs(), 1).learn)


@pytest.mark.parametrize("learner", [class_means, logistic_regression(0.001)])
def test_clear_classes_are_learnt_from_few(learner: Learner) -> None:
    assert few_accuracies(learner, None, [(0, 2, 3), (1, 2, 3)], photographs(), 2, 0) == [100.0, 100.0]


def test_a_method_without_photographs_is_measured_on_the_same_ones() -> None:
    values = few_accuracies(None, lambda task, features: features[:, list(task)], [(0, 2), (1, 3)], photographs(), 0, 0)
    assert values == [100.0, 100.0]


def test_too_few_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 20 are needed"):
        divide((0, 1), photographs(20), 0)
