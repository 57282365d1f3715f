"""The standard tests of data sets hold for the built-in ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.builtins.datasets.cifar100 import cifar100
from tina_framework.builtins.datasets.image_folder import image_folder
from tina_framework.builtins.datasets.shapes import shapes
from tina_framework.interfaces.dataset import Dataset
from tina_framework.testing import DatasetTests

RNG = np.random.default_rng


class TestShapes(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self) -> Callable[[], Dataset]:
        return partial(shapes, 2, validation_per_class=1, test_per_class=1)


class TestArrays(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Callable[[], Dataset]:
        np.savez(
            tmp_path / "data",
            train_images=RNG(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8),
            train_labels=np.repeat(np.arange(3), 20),
            test_images=RNG(1).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
            test_labels=np.repeat(np.arange(3), 2),
            class_names=np.asarray(["apple", "oak_tree", "Bear"]),
            fine_to_coarse=np.asarray([0, 0, 1]),
        )
        return partial(arrays, tmp_path / "data.npz")


class TestImageFolder(DatasetTests):
    superclasses = False

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Callable[[], Dataset]:
        for number, (split, label) in enumerate((s, c) for s in ("train", "test") for c in ("Red_thing", "blue")):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for place, pixels in enumerate(RNG(number).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)):
                Image.fromarray(pixels).save(folder / f"{place}.png")
        return partial(image_folder, tmp_path, size=8)


class RandomCIFAR100:
    """The part of torchvision's class that is used, with pictures of noise: two a class, four for training."""

    base_folder = "cifar-100-python"

    def __init__(self, root: str, train: bool, download: bool) -> None:
        number = 4 if train else 2
        self.classes = [name.replace(" ", "_") for name in cifar100().class_names]
        self.targets = [int(label) for label in np.tile(np.arange(100), number)]
        self.data = RNG(number).integers(0, 256, (100 * number, 32, 32, 3), dtype=np.uint8)


class TestCIFAR100(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Dataset]:
        monkeypatch.setattr(torchvision.datasets, "CIFAR100", RandomCIFAR100)
        return partial(cifar100, tmp_path)
