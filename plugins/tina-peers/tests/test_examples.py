"""Example pictures depend on the class and the seed alone, and classes without enough are left out."""

from __future__ import annotations

import torch

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_peers.examples import example_pictures


def test_pictures_of_a_class_depend_on_the_seed_and_its_name() -> None:
    spec, dataset = (
        ParameterSpec(registries().architectures.create("cnn-2layer")),
        registries().datasets.create("shapes:6"),
    )
    one, two, *_ = dataset.class_names
    both = example_pictures(dataset, spec, [one, two], 5, 0)
    alone = example_pictures(dataset, spec, [two], 5, 0)
    other = example_pictures(dataset, spec, [two], 5, 1)
    assert torch.equal(both[two], alone[two])
    assert not torch.equal(alone[two], other[two])
    assert both[one].shape == (5, 3, 32, 32)
    assert len({tuple(picture.flatten().tolist()) for picture in both[one]}) == 5  # no picture twice


def test_classes_without_enough_pictures_are_left_out() -> None:
    spec, dataset = (
        ParameterSpec(registries().architectures.create("cnn-2layer")),
        registries().datasets.create("shapes:6"),
    )
    [known, *_] = dataset.class_names
    assert list(example_pictures(dataset, spec, [known, "no such class"], 5, 0)) == [known]
    assert example_pictures(dataset, spec, [known], 100_000, 0) == {}
