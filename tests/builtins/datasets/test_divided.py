"""Test how training images are split, and the shared data set class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.builtins.datasets._divided import DividedDataset, divide, readable
from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset, LabelledImages


def numbered(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one pixel, whose value is the index in the file."""
    places = np.arange(len(labels), dtype=np.uint8)
    return np.repeat(places[:, None, None, None], 3, axis=3), np.asarray(labels, dtype=np.int64)


@given(st.lists(st.integers(0, 2), max_size=100))
def test_the_last_tenth_of_each_class_is_validation(labels):
    images, array = numbered(labels)
    whole, num_train = divide(images, array, 3)
    places = whole.images[:, 0, 0, 0]
    assert sorted(places.tolist()) == list(range(len(labels)))
    assert (array[places] == whole.labels).all()
    for label in range(3):
        of_class = np.flatnonzero(array == label).tolist()
        number = 0 if len(of_class) < 2 else max(1, len(of_class) // 10)
        in_train = [p for p in places[:num_train].tolist() if array[p] == label]
        in_validation = [p for p in places[num_train:].tolist() if array[p] == label]
        assert in_train + in_validation == of_class
        assert len(in_validation) == number


def test_450_and_50_of_500():
    _, num_train = divide(*[np.zeros((1000, 1, 1, 3), np.uint8), np.repeat([0, 1], 500)], 2)
    assert num_train == 900


@pytest.mark.parametrize(("raw", "name"), [("Sweet_pepper", "sweet pepper"), (" oak  tree ", "oak tree"), ("a", "a")])
def test_readable_names(raw, name):
    assert readable(raw) == name


class TestDividedDataset:
    def make(
        self, labels: tuple[int, ...] = (0, 0, 1, 1), names: tuple[str, ...] = ("a", "b"), test: int = 2
    ) -> DividedDataset:
        self.reads: list[str] = []

        def training():
            self.reads.append("training")
            return divide(*numbered(list(labels)), len(names))

        def testing():
            self.reads.append("test")
            return LabelledImages(np.zeros((test, 1, 1, 3), np.uint8), np.zeros(test, np.int64))

        return DividedDataset("mine", names, None, training, testing)

    def test_each_part_is_read_once_on_first_use(self):
        data = self.make()
        assert isinstance(data, Dataset)
        assert self.reads == []
        for split in ("validation", "train", "train+validation", "test", "test", "train"):
            data.load(split)
        assert self.reads == ["training", "test"]
        assert data.load("train").images.base is data.load("train+validation").images.base

    def test_train_and_validation_together(self):
        data = self.make()
        parts = [data.load(split).images for split in ("train", "validation")]
        assert np.array_equal(np.concatenate(parts), data.load("train+validation").images)

    def test_errors(self):
        with pytest.raises(DataError, match=r"'mine' has no split 'dev'\. It has: train, validation, test, train"):
            self.make().load("dev")
        with pytest.raises(DataError, match="no training image of the class 'c'"):
            self.make(names=("a", "b", "c")).load("train")
        with pytest.raises(DataError, match=r"no validation images.*at least two pictures"):
            self.make(labels=(0, 1)).load("validation")
        with pytest.raises(DataError, match="no test images"):
            self.make(test=0).load("test")
        with pytest.raises(DataError, match="has the name 'a' twice"):
            self.make(names=("a", "a"))
        with pytest.raises(DataError, match="has 1 classes"):
            self.make(names=("a",))
