"""Tasks, and the accuracy of a method on them."""

from __future__ import annotations

import pytest
import torch
from photo_tables.photographs import Photographs
from photo_tables.tasks import accuracies, draw_tasks, summary


def test_tasks_are_different_sets_and_repeat_with_the_seed() -> None:
    tasks = draw_tasks(range(0, 30, 2), 4, 50, 1)
    assert len(set(tasks)) == 50
    assert all(len(set(task)) == 4 and set(task) <= set(range(0, 30, 2)) for task in tasks)
    assert tasks == draw_tasks(range(0, 30, 2), 4, 50, 1)
    assert tasks != draw_tasks(range(0, 30, 2), 4, 50, 2)


def test_few_classes_give_the_sets_that_there_are() -> None:
    assert draw_tasks([3, 4, 5], 3, 10, 0) == [(3, 4, 5)]
    assert draw_tasks([3, 4, 5], 5, 10, 0) == [(3, 4, 5)]
    assert sorted(draw_tasks([3, 4, 5], 2, 10, 0)) == [(3, 4), (3, 5), (4, 5)]


def test_accuracy_counts_the_photographs_of_the_task() -> None:
    photographs = Photographs(("a", "b", "c"), torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 1, 2, 2]))
    values = accuracies(lambda task, features: features[:, list(task)], [(0, 1), (1, 2)], photographs)
    assert values == pytest.approx([100, 200 / 3])
    found = summary(values, [90.0, 60.0])
    assert found["mean"] == pytest.approx(sum(values) / 2)
    assert round(found["difference"]["mean"], 3) == 8.333
