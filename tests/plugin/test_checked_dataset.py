"""Data sets of plugins: what is harmless is converted, everything else is refused with a sentence that names the package."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tina_framework.errors import DataError, PluginError, TinaError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.plugin.checked_dataset import CheckedDataset

WHAT = "Dataset 'toys' of 'tina-toys'"
IMAGES = np.zeros((2, 8, 8, 3), np.uint8)


class Toys:
    def __init__(self, data: Any = (IMAGES, [0, 1]), names: Any = ("ant", "bee"), superclasses: Any = None) -> None:
        self.name, self.class_names, self.superclasses, self.data = "toys", names, superclasses, data

    def load(self, split: str) -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


class Namespace:
    images, labels = IMAGES, np.array([[0], [1]])


@pytest.mark.parametrize("data", [(IMAGES, [0, 1]), LabelledImages(IMAGES, np.array([0, 1])), Namespace()])
def test_images_and_labels_in_another_form_are_converted(data: Any) -> None:
    dataset = CheckedDataset(Toys(data, ["ant", "bee"], [0, 0]), WHAT)
    assert isinstance(dataset, Dataset)
    assert (dataset.class_names, dataset.superclasses) == (("ant", "bee"), (0, 0))
    loaded = dataset.load("train")
    assert loaded.images.shape == (2, 8, 8, 3)
    assert loaded.labels.tolist() == [0, 1]
    assert copy.deepcopy(dataset).load("train").labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (None, "is None, which has no name"),
        (Toys, "which has no"),
        (Toys(names=None), "class_names is None, not a list of names"),
        (Toys(names="ant"), "class_names is 'ant', not a list of names"),
        (Toys(names=()), "class_names is"),
        (Toys(names=(1, 2)), "class_names: number 1 is 1, not a name"),
        (Toys(names=("ant", "ant")), "class_names has the name 'ant' twice"),
        (Toys(names=("ant", "\x1b[2J")), "has the control character"),
        (Toys(superclasses=(0,)), r"superclasses is \(0,\); give one whole number"),
        (Toys(superclasses=("a", "b")), "superclasses is"),
        (Toys(superclasses=3), "superclasses is 3"),
        (Toys(superclasses=(0.5, 1)), "superclasses is"),
    ],
)
def test_a_malformed_description_is_refused(made: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence) as caught:
        CheckedDataset(made, WHAT)
    assert str(caught.value).startswith(WHAT)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, r"it returned None; return LabelledImages\(images, labels\)"),
        ((IMAGES,), "return LabelledImages"),
        ((IMAGES, [0, 2]), r"labels lie between 0 and 2, but 2 class names allow 0\.\.1"),
        ((IMAGES, [-1, 0]), "labels lie between -1 and 0"),
        ((IMAGES, [0]), "2 images but labels of shape"),
        ((IMAGES / 255, [0, 1]), r"Convert numbers from 0 to 1 with \(images \* 255\)"),
        ((IMAGES.transpose(0, 3, 1, 2), [0, 1]), r"Put the channels last: images\.transpose\(0, 2, 3, 1\)"),
        ((IMAGES.astype(int) - 1, [0, 1]), "Images have values from -1 to -1"),
        ((IMAGES, ["ant", "bee"]), "not an array of numbers"),
        ((IMAGES, [0.5, 1.0]), "expected .* whole numbers"),
        ((IMAGES, np.eye(2)), r"labels\.argmax\(axis=1\)"),
        (ValueError("gone\x1b"), r"cannot load the split 'train': ValueError: gone\\x1b"),
        (FileNotFoundError("no file"), "cannot load the split 'train': FileNotFoundError: no file"),
        (DataError("There is no such split."), "There is no such split"),
    ],
)
def test_wrong_images_and_labels_are_refused(data: Any, sentence: str) -> None:
    with pytest.raises(TinaError, match=sentence) as caught:
        CheckedDataset(Toys(data), WHAT).load("train")
    assert str(caught.value).startswith(WHAT)


class ScalingToys(Toys):
    def __init__(self, scaled: Any) -> None:
        super().__init__()
        self.scaled = scaled

    def scaled_to(self, height: int, width: int) -> Any:
        if isinstance(self.scaled, Exception):
            raise self.scaled
        return self.scaled


def test_a_scaled_data_set_is_checked_too() -> None:
    plain = CheckedDataset(Toys(), WHAT)
    assert plain.scaled_to(8, 8) is plain
    scaled = CheckedDataset(ScalingToys(Toys((IMAGES[:, :4], [[0], [1]]))), WHAT).scaled_to(4, 8)
    assert scaled.load("train").images.shape == (2, 4, 8, 3)
    assert scaled.load("train").labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("scaled", "sentence"),
    [
        (KeyError("size"), r"scaled_to\(4, 8\) failed"),
        (None, "which has no name"),
        (Toys(names=("ant", "cow")), "changed the class names"),
    ],
)
def test_faults_of_scaling_name_the_package(scaled: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence) as caught:
        CheckedDataset(ScalingToys(scaled), WHAT).scaled_to(4, 8)
    assert WHAT in str(caught.value)
