from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.classifier.fine_tuning.labels import class_indices, median_count
from tina_framework.errors import DataError

NAMES = ("ant", "bee", "cat")


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "ant", "bee"],
        ("cat", 0, "bee"),
        [2, 0, 1],
        np.array([2, 0, 1]),
        torch.tensor([2, 0, 1]),
        np.array(["cat", "ant", "bee"]),
        np.array([[2], [0], [1]]),
        torch.tensor([[2], [0], [1]]),
        np.array([["cat"], ["ant"], ["bee"]]),
        [["cat"], ["ant"], ("bee",)],
        [torch.tensor([2]), np.array([0]), np.array([[1]])],
        (name for name in ("cat", "ant", "bee")),
    ],
)
def test_names_and_numbers(labels: Any) -> None:
    assert class_indices(labels, NAMES, 3) == [2, 0, 1]


def test_composed_and_decomposed_letters_are_the_same_name() -> None:
    assert class_indices(["cafe\u0301", "tea"], ("caf\u00e9", "tea"), 2) == [0, 1]
    assert class_indices(["caf\u00e9", "tea"], ("cafe\u0301", "tea"), 2) == [0, 1]


@pytest.mark.parametrize("label", ["ant", 0, np.int64(0), torch.tensor(0)])
def test_one_label(label: Any) -> None:
    assert class_indices(label, NAMES[:1], 1) == [0]


@pytest.mark.parametrize(
    ("labels", "pictures", "sentence"),
    [
        ([], 0, "There are no pictures to fine-tune on"),
        (["ant", "bee"], 3, "3 pictures but 2 labels"),
        (["ant", "bee", "cta"], 3, "no class 'cta'; did you mean 'cat'"),
        (["ant", "bee", "zebra"], 3, "its classes are ant, bee, cat"),
        ([0, 1, 3], 3, "A label is 3; give class names, or whole numbers from 0 to 2"),
        ([0, 1, -1], 3, "A label is -1"),
        ([0, 1, True], 3, "A label is True"),
        ([0, 1, 0.5], 3, "A label is 0.5"),
        (np.zeros((3, 2), dtype=int), 3, r"A label is \[0, 0\]"),
        (["ant", "ant", "bee"], 3, "no picture of 'cat'; the classifier would forget"),
    ],
)
def test_wrong_labels_are_refused(labels: Any, pictures: int, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        class_indices(labels, NAMES, pictures)


def test_the_median_count_is_the_lower_median() -> None:
    assert median_count([0, 1, 2] * 4 + [0] * 50, 3) == 4
    assert median_count([0, 1, 1, 1], 2) == 1


@pytest.mark.parametrize("labels", [{"cat", "ant", "bee"}, {"cat": 2, "ant": 0, "bee": 1}])
def test_labels_without_order_are_refused(labels: Any) -> None:
    with pytest.raises(DataError, match="does not say which picture each belongs to; give a list"):
        class_indices(labels, NAMES, 3)


@pytest.mark.parametrize("label", ["x" * 100_000, 10**4000, b"ant", [[0]], np.zeros((1, 2))])
def test_messages_about_labels_are_short(label: Any) -> None:
    with pytest.raises(DataError) as caught:
        class_indices([label, 1, 2], tuple(f"{n:0200}" for n in range(60)), 3)
    assert len(str(caught.value)) < 500


def test_classes_may_lack_pictures_if_two_have_some() -> None:
    assert class_indices(["ant", "bee"], NAMES, 2, some_absent=True) == [0, 1]
    assert class_indices(["ant"], NAMES[:1], 1, some_absent=True) == [0]
    with pytest.raises(DataError, match="All pictures are of the class 'bee'"):
        class_indices(["bee", "bee"], NAMES, 2, some_absent=True)
