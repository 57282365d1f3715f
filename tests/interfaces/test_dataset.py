"""Images with labels, and data sets over arrays in memory: what they hold and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import ArrayDataset, Dataset, LabelledImages, ScalesPictures, scaled_to

IMAGES = np.zeros((3, 4, 5, 3), dtype=np.uint8)


def part(*labels: int) -> LabelledImages:
    return LabelledImages(IMAGES[: len(labels)], np.array(labels, dtype=np.int64))


def test_a_data_set_over_arrays() -> None:
    made = ArrayDataset("mine", ("ant", "bee"), {"train": part(0, 1, 1)}, superclasses=(0, 0))
    assert isinstance(made, Dataset)
    assert len(made.load("train")) == 3
    with pytest.raises(DataError, match=r"Data set 'mine' has no split 'test'\. It has: train\."):
        made.load("test")


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES.astype(np.float32), np.zeros(3), r"type float32; expected \(N, height, width, 3\) of type uint8"),
        (IMAGES.transpose(0, 3, 1, 2), np.zeros(3), r"Images have shape \(3, 3, 4, 5\)"),
        (IMAGES, np.zeros(2), r"3 images but labels of shape \(2,\)"),
    ],
)
def test_malformed_images_are_refused(images: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        LabelledImages(images, labels)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"class_names": ("ant", "ant")}, "has the name 'ant' twice"),
        ({"superclasses": (0,)}, "has 2 classes but 1 superclass entries"),
        ({"splits": {"train": part(0, 2)}}, r"split 'train': a label lies outside 0\.\.1"),
    ],
)
def test_data_sets_that_contradict_themselves_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        ArrayDataset(**{"name": "mine", "class_names": ("ant", "bee"), "splits": {}, **settings})


def test_only_data_sets_that_can_scale_are_asked_to() -> None:
    plain = ArrayDataset("toys", ("ant", "bee"), {"train": part(0, 1)})
    assert not isinstance(plain, ScalesPictures)
    assert scaled_to(plain, 8, 9) is plain

    class Scaling(ArrayDataset):
        def scaled_to(self, height: int, width: int) -> Dataset:
            return ArrayDataset(f"toys at {height}x{width}", self.class_names, self.splits)

    assert scaled_to(Scaling("toys", ("ant", "bee"), {}), 8, 9).name == "toys at 8x9"
