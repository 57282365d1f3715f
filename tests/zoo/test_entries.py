"""Entries of p-Models as objects and as columns."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from tina_framework.zoo.entries import ZooEntries, ZooEntry

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def entries():
    counts, labels = np.array([2, 3, 2]), np.array([3, 0, 0, 1, 2, 1, 2], dtype=np.int32)
    return ZooEntries(NAMES, counts, labels, lambda i: 10 + i, np.array([0.5, 0.25, 1.0]), np.array([0.0, 0.5, 0.75]))


def test_columns_give_the_same_entries_as_a_list(entries):
    expected = [
        ZooEntry(0, ("dog", "ant"), 10, 0.5, 0.0),
        ZooEntry(1, ("ant", "bee", "cat"), 11, 0.25, 0.5),
        ZooEntry(2, ("bee", "cat"), 12, 1.0, 0.75),
    ]
    assert entries == expected
    assert entries[-1] == expected[2]
    assert entries[1:] == expected[1:]
    assert list(reversed(entries)) == expected[::-1]
    assert [ZooEntry.from_json({**asdict(e), "classes": list(e.classes)}) for e in entries] == expected
    with pytest.raises(IndexError):
        entries[3]


def test_the_models_of_some_classes(entries):
    assert entries.of_classes(NAMES, 3) == [0, 1, 2]
    assert entries.of_classes(NAMES, 2) == [0, 2]
    assert entries.of_classes({"ant", "bee", "cat"}, 3) == [1, 2]
    assert entries.of_classes((), 3) == []
    nothing = ZooEntries(NAMES, np.zeros(0, int), np.zeros(0, np.int32), int, np.zeros(0), np.zeros(0))
    assert nothing.of_classes(NAMES, 3) == []
    assert nothing == []


@pytest.mark.parametrize(
    "change",
    [{"id": "0"}, {"id": True}, {"seed": 1.0}, {"classes": "ab"}, {"classes": [1]}, {"extra": 1},
     {"validation_accuracy": 7}, {"selection_accuracy": "0"}, {"selection_accuracy": float("nan")}],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused(change):
    value = {"id": 0, "classes": ["ant"], "seed": 0, "validation_accuracy": 0.5, "selection_accuracy": 0.5}
    ZooEntry.from_json(value)
    with pytest.raises(ValueError, match=r"accuracy|classes|id and seed|describe"):
        ZooEntry.from_json(value | change)
