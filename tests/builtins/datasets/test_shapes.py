"""Test the data set ``shapes``."""

from __future__ import annotations

import numpy as np
import pytest

from tina_framework.builtins.datasets.shapes import CLASS_NAMES, shapes
from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import Dataset

FEW = {"validation_per_class": 2, "test_per_class": 3}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(8, **FEW)


def test_classes(data):
    assert isinstance(data, Dataset)
    assert len(set(data.class_names)) == 64
    assert "striped red triangle" in data.class_names
    assert data.superclasses is not None
    last_words = {
        (name.split()[-1], superclass) for name, superclass in zip(data.class_names, data.superclasses, strict=True)
    }
    assert len(last_words) == 4


def test_splits(data):
    for split, number in (("train", 8), ("validation", 2), ("test", 3), ("train+validation", 10)):
        part = data.load(split)
        assert part.images.shape == (64 * number, 32, 32, 3)
        assert np.bincount(part.labels).tolist() == [number] * 64
    first = [data.load(split).images[0] for split in ("train", "validation", "test")]
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])


def test_the_same_arguments_draw_the_same_pictures(data):
    from tina_framework.builtins.datasets.shapes import _part

    before = data.load("train").images.copy()
    _part.cache_clear()
    assert np.array_equal(shapes(8, **FEW).load("train").images, before)
    assert not np.array_equal(shapes(8, **FEW, seed=1).load("train").images, before)


def test_more_pictures_start_with_the_same_ones(data):
    assert np.array_equal(shapes(9, **FEW).load("train").images[: 8 * 64], data.load("train").images)


def test_the_number_as_a_registry_argument(data):
    assert shapes("8", **FEW).name == "shapes:8"
    assert shapes().name == "shapes"
    assert np.array_equal(shapes("8", **FEW).load("train").images, data.load("train").images)


def test_colours_textures_and_shapes_can_be_told_apart(data):
    """Hand-made measurements, one for each kind of attribute."""
    part = data.load("train+validation")
    pixels = part.images.astype(np.float64) / 255
    spread = pixels.max(axis=3) - pixels.min(axis=3)
    names = np.asarray([CLASS_NAMES[label].split() for label in part.labels])
    weight = np.clip(spread - 0.35, 0, None)
    mean = (pixels * weight[..., None]).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))[:, None]
    red, green, blue = mean.T
    guess = np.where(blue > np.maximum(red, green), "blue", np.where(red < 0.6 * green, "green", "yellow"))
    guess = np.where((blue <= red) & (green < 0.5 * red), "red", guess)
    assert (guess == names[:, 1]).mean() > 0.97

    solid, striped = (spread[names[:, 0] == texture].mean() for texture in ("solid", "striped"))
    assert solid > 1.3 * striped
    circles, stars = (spread[(names[:, 2] == s) & (names[:, 0] == "solid")] > 0.35 for s in ("circle", "star"))
    assert circles.mean() > 1.3 * stars.mean()


@pytest.mark.parametrize("number", [0, -1, "many", "2.5"])
def test_bad_numbers(number):
    with pytest.raises(ConfigError, match="cannot draw"):
        shapes(number)


def test_bad_seed():
    with pytest.raises(ConfigError, match="seed"):
        shapes(seed=-1)
