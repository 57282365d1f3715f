"""Shared parts of the built-in data sets: splitting training images, reading on demand, and class names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tina_framework.errors import DataError
from tina_framework.interfaces.class_names import checked_names, normalize_name
from tina_framework.interfaces.dataset import ImageSplit, LabelledImages

__all__ = ["SPLITS", "DividedDataset", "TrainingImages", "divide", "readable"]

SPLITS: tuple[ImageSplit, ...] = ("train", "validation", "test", "train+validation")
"""Splits that `load` accepts. ``train+validation`` is for a final fit, after all settings are chosen."""

TrainingImages = tuple[LabelledImages, int]
"""All training images, and the number of those in ``train``, which come first. The rest is ``validation``."""


def readable(name: str) -> str:
    """Return a class name in lower case without underscores, normalised."""
    return normalize_name(name.replace("_", " ").lower())


def divide(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], num_classes: int) -> TrainingImages:
    """Split training images: the last tenth of each class, in file order, goes to ``validation``.

    The tenth is rounded down, but is at least one image for a class of two or more. For CIFAR-100 this gives 450 and 50 images
    for each class. The rule depends only on the order of the file, so every command uses the same split.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N,) int64 in 0..`num_classes` - 1.
        num_classes: K.
    """
    held_back = np.zeros(len(labels), dtype=bool)
    for label in range(num_classes):
        places = np.flatnonzero(labels == label)
        number = max(len(places) // 10, 1) if len(places) >= 2 else 0
        held_back[places[len(places) - number :]] = True
    order = np.concatenate([np.flatnonzero(~held_back), np.flatnonzero(held_back)])
    return LabelledImages(images[order], labels[order]), int((~held_back).sum())


class DividedDataset:
    """A `Dataset` that reads each part on first use and keeps it in memory.

    ``train``, ``validation`` and ``train+validation`` are views of one array.

    Args:
        name: registry name, with its argument if there is one.
        class_names: K names.
        superclasses: K superclass indices, or None.
        read_training: returns the training images.
        read_test: returns the test images; None for a data set without test images.

    Raises:
        DataError: there are fewer than two classes, two classes have the same name, or a name cannot be one.
    """

    def __init__(
        self,
        name: str,
        class_names: tuple[str, ...],
        superclasses: tuple[int, ...] | None,
        read_training: Callable[[], TrainingImages],
        read_test: Callable[[], LabelledImages] | None,
    ) -> None:
        if len(class_names) < 2:
            raise DataError(f"Data set '{name}' has {len(class_names)} classes; at least two are needed.")
        class_names = checked_names(class_names, f"Data set '{name}'")
        self.name = name
        self.class_names = class_names
        self.superclasses = superclasses
        self._read_training = read_training
        self._read_test = read_test
        self._training: TrainingImages | None = None
        self._test: LabelledImages | None = None

    def load(self, split: ImageSplit) -> LabelledImages:
        """Return the images of ``train``, ``validation``, ``test`` or ``train+validation``.

        Raises:
            DataError: the data is missing or malformed, or the split does not exist.
        """
        if split not in SPLITS or (split == "test" and self._read_test is None):
            existing = ", ".join(s for s in SPLITS if s != "test" or self._read_test is not None)
            raise DataError(f"Data set '{self.name}' has no split '{split}'. It has: {existing}.")
        if split == "test" and self._read_test is not None:
            if self._test is None:
                self._test = self._read_test()
                if not len(self._test):
                    raise DataError(f"Data set '{self.name}' has no test images; add some.")
            return self._test
        if self._training is None:
            self._training = self._read_training()
            self._check_training()
        whole, num_train = self._training
        if split == "validation" and num_train == len(whole):
            raise DataError(
                f"Data set '{self.name}' has no validation images, which are taken from the training images; give every class at "
                "least two pictures."
            )
        part = {"train": slice(num_train), "validation": slice(num_train, None)}.get(split, slice(None))
        return LabelledImages(whole.images[part], whole.labels[part])

    def _check_training(self) -> None:
        assert self._training is not None
        whole, num_train = self._training
        present = np.bincount(whole.labels[:num_train], minlength=len(self.class_names)) > 0
        if not present.all():
            missing = self.class_names[int(np.argmin(present))]
            self._training = None
            raise DataError(f"Data set '{self.name}' has no training image of the class '{missing}'; add some.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self.class_names)} classes)"
