"""Tasks that are drawn where no task file is given."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tina_framework.errors import ConfigError, DataError
from tina_framework.evaluation.draw_tasks import draw_tasks, drawn_note
from tina_framework.zoo.reservation import check_leakage, partition_of


def config(num_known: int, most: int = 10, least: int = 2) -> Any:
    names = tuple(f"class {i}" for i in range(num_known))
    return SimpleNamespace(class_names=names, max_classes=most, min_classes=least)


def data(first: int, last: int) -> Any:
    names = tuple(f"class {i}" for i in range(first, last))
    return SimpleNamespace(class_names=names, superclasses=None, name="data")


def kinds(tasks: Any) -> dict[tuple[str | None, int], int]:
    return dict(Counter((task.split, len(task.classes)) for task in tasks))


@pytest.mark.parametrize(
    ("num_known", "most", "first", "last", "expected"),
    [
        (100, 10, 0, 100, {("unseen-combination", 10): 20}),
        (80, 10, 0, 100, {("unseen-combination", 10): 20, ("unseen-classes", 10): 20}),
        (10, 10, 0, 10, {("seen", 10): 1, ("unseen-combination", 8): 9}),
        (3, 3, 0, 3, {("seen", 3): 1}),
        (100, 10, 100, 104, {("unseen-classes", 4): 1}),
        (100, 10, 100, 101, None),
    ],
)
def test_what_fits(num_known: int, most: int, first: int, last: int, expected: Any) -> None:
    if expected is None:
        with pytest.raises(DataError, match="No task for this generator can be drawn from the 1 classes"):
            draw_tasks(config(num_known, most), data(first, last))
        return
    tasks = draw_tasks(config(num_known, most), data(first, last), 20)
    assert kinds(tasks) == expected
    assert len({task.class_set for task in tasks}) == len(tasks)
    # The draw agrees with the check of every evaluation.
    report = check_leakage(tasks, own=True, trained_classes=config(num_known).class_names)
    assert list(report.tasks) == tasks


def test_the_reservation_is_that_of_training_although_the_data_set_is_smaller() -> None:
    [task] = draw_tasks(config(100), data(0, 10), count=10)
    assert task.split == {"train": "seen", "test": "unseen-combination"}[partition_of(task.classes)]


def test_count_and_seed() -> None:
    first = draw_tasks(config(100), data(0, 100), 5, seed=1, count=3)
    assert kinds(first) == {("unseen-combination", 3): 5}
    assert first == draw_tasks(config(100), data(0, 100), 5, seed=1, count=3)
    assert first != draw_tasks(config(100), data(0, 100), 5, seed=2, count=3)
    with pytest.raises(ConfigError, match="networks for 2 to 10 classes; 11 is not possible"):
        draw_tasks(config(100), data(0, 100), count=11)


def test_the_note_says_how_many_and_with_which_seed() -> None:
    note = drawn_note(draw_tasks(config(10), data(0, 10), 20, seed=0), "image-folder:x", 0)
    assert note.startswith(
        "Tasks drawn from 'image-folder:x' with seed 0: 1 task of 10 classes (seen), 9 tasks of 8 classes (unseen-combination)."
    )
