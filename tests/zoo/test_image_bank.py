"""Images of one split, looked up by task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import ImageBank, for_architecture, load_split


@pytest.fixture(scope="module")
def bank(dataset, spec):
    return ImageBank(dataset, "validation", spec)


def test_splits_joined_by_plus_follow_each_other(dataset):
    both, test = load_split(dataset, "validation+test"), dataset.load("test")
    assert len(both) == len(dataset.load("validation")) + len(test)
    assert (both.labels[-len(test) :] == test.labels).all()


def test_rows_are_those_of_the_classes_and_slots_follow_the_tasks_order(bank):
    classes = (bank.class_names[5], bank.class_names[2])
    rows, slots = bank.rows(classes)
    assert len(rows) == 8
    assert [classes[slot] for slot in slots] == [bank.class_names[label] for label in bank.labels[rows]]


def test_images_of_a_class_come_in_the_same_order_in_every_task(bank):
    first, second = bank.class_names[0], bank.class_names[3]
    alone = bank.rows((first, second))[0]
    other = bank.rows((bank.class_names[7], first))[0]
    shared = [row for row in alone.tolist() if bank.labels[row] == 0]
    assert shared == [row for row in other.tolist() if bank.labels[row] == 0]


def test_an_unknown_class_and_a_class_without_images_are_refused(bank, dataset, spec):
    with pytest.raises(DataError, match="has no class 'unicorn'"):
        bank.labels_of(["unicorn"])
    empty = ImageBank(dataset, "validation", spec)
    empty.labels = torch.full_like(empty.labels, 11)
    with pytest.raises(DataError, match="There is no image"):
        empty.rows(dataset.class_names[:2])


def test_without_a_frozen_trunk_nothing_is_mirrored_ahead(bank):
    assert bank.mirrored is None
    assert bank.mirrored_rows(torch.tensor([0])) is None


def test_pictures_are_cropped_as_the_architecture_says(dataset, spec, bank):
    cropped = ImageBank(dataset, "validation", ParameterSpec(dataclasses.replace(spec.architecture, crop_pct=0.5)))
    assert cropped.images.shape == bank.images.shape
    assert not torch.equal(cropped.images, bank.images)


class Scales:
    """Pictures of any size whose values say how large they are."""

    name, class_names, superclasses = "scales", ("ant", "bee"), None

    def __init__(self, size=(32, 32)):
        self.size = size

    def load(self, split):
        return LabelledImages(np.full((2, *self.size, 3), self.size[0], dtype=np.uint8), np.array([0, 1]))

    def scaled_to(self, height, width):
        return Scales((height, width))


def test_a_data_set_is_read_at_the_size_of_the_architecture(spec):
    architecture = dataclasses.replace(spec.architecture, crop_pct=0.75, input_shape=(3, 32, 40))
    assert for_architecture(Scales(), architecture).size == (43, 54)
    assert for_architecture(Scales(), spec.architecture).size == (32, 32)
    images = ImageBank(Scales(), "train", ParameterSpec(architecture)).images
    assert images.shape == (2, 3, 32, 40)
    assert torch.allclose(images[0, 0, 0, 0] * 0.5 + 0.5, torch.tensor(43 / 255), atol=1e-6)


def test_a_data_set_of_one_size_is_read_as_before(dataset, spec):
    assert for_architecture(dataset, dataclasses.replace(spec.architecture, crop_pct=0.75)) is dataset


def test_contents_make_an_equal_bank(bank):
    again = ImageBank.from_contents(bank.class_names, bank.contents())
    assert again.images is bank.images
    assert again.mirrored is None
    classes = (bank.class_names[5], bank.class_names[2])
    assert all(torch.equal(one, two) for one, two in zip(again.rows(classes), bank.rows(classes), strict=True))
    features = ImageBank.from_contents(
        ("a",), {"images": torch.ones(2, 3), "labels": torch.zeros(2), "mirrored": torch.zeros(2, 3)}
    )
    assert torch.equal(features.mirrored_rows(torch.tensor([1])), torch.zeros(1, 3))
