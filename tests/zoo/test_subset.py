"""Held-out classes are gone everywhere: labels, names, superclasses, generic model, tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tina_framework.builtins.datasets.image_folder import image_folder
from tina_framework.errors import ConfigError
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.subset import without_classes


def test_labels_follow_their_names(dataset):
    held = [dataset.class_names[i] for i in (0, 5, 63)]
    subset = without_classes(dataset, held)
    assert len(subset.class_names) == 61
    assert not set(held) & set(subset.class_names)
    whole, part = dataset.load("test"), subset.load("test")
    for name in ("solid red square", subset.class_names[-1]):
        ours = part.images[part.labels == subset.class_names.index(name)]
        theirs = whole.images[whole.labels == dataset.class_names.index(name)]
        assert len(ours)
        assert np.array_equal(ours, theirs)
        assert (
            subset.superclasses[subset.class_names.index(name)] == dataset.superclasses[dataset.class_names.index(name)]
        )
    assert without_classes(dataset, []) is dataset


def test_mistakes(dataset):
    with pytest.raises(ConfigError, match="lacks"):
        without_classes(dataset, ["unicorn"])
    with pytest.raises(ConfigError, match="leaves 1 classes"):
        without_classes(dataset, dataset.class_names[1:])


def test_a_zoo_never_meets_them(tmp_path, build, config, dataset, spec):
    held = list(dataset.class_names[::4])
    build(tmp_path / "zoo", settings=replace(config, num_models=3, held_out_classes=held))
    zoo = Zoo.open(tmp_path / "zoo")
    zoo.check(spec)
    assert len(zoo.class_names) == 48
    assert zoo.generic["fc.weight"].shape[0] == 48
    assert not {name for entry in zoo.entries for name in entry.classes} & set(held)


def test_pictures_keep_their_labels_at_another_size(tmp_path, dataset):
    for name in "abc":
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.new("RGB", (9, 9), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    subset = without_classes(image_folder(tmp_path), ["b"])
    scaled = subset.scaled_to(12, 10)
    assert scaled.class_names == ("a", "c")
    assert scaled.load("train").images.shape[1:] == (12, 10, 3)
    assert np.array_equal(scaled.load("train").labels, subset.load("train").labels)
    fixed = without_classes(dataset, [dataset.class_names[0]])
    assert fixed.scaled_to(12, 10) is fixed
