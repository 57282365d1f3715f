"""A data set without some of its classes. This is what "held out" means for a generic model and its zoo."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.dataset import Dataset, ImageSplit, LabelledImages, scaled_to

__all__ = ["SubsetDataset", "without_classes"]


class SubsetDataset:
    """A data set with only the classes `kept` (label numbers), renumbered from 0."""

    def __init__(self, dataset: Dataset, kept: list[int]) -> None:
        self.name = dataset.name
        self.class_names = tuple(dataset.class_names[i] for i in kept)
        superclasses = dataset.superclasses
        self.superclasses = None if superclasses is None else tuple(superclasses[i] for i in kept)
        self._dataset, self._kept = dataset, kept
        self._new_label = np.full(len(dataset.class_names), -1, dtype=np.int64)
        self._new_label[kept] = np.arange(len(kept))

    def load(self, split: ImageSplit) -> LabelledImages:
        """Load the images of the kept classes."""
        data = self._dataset.load(split)
        labels = self._new_label[data.labels]
        return LabelledImages(data.images[labels >= 0], labels[labels >= 0])

    def scaled_to(self, height: int, width: int) -> Dataset:
        """Return the kept classes with pictures of another size, if the data set can scale them."""
        scaled = scaled_to(self._dataset, height, width)
        return self if scaled is self._dataset else SubsetDataset(scaled, self._kept)


def without_classes(dataset: Dataset, held_out: Collection[str]) -> Dataset:
    """Return the data set without the held-out classes; the data set itself if there are none.

    Raises:
        ConfigError: the data set lacks one of the classes, or fewer than two are left.
    """
    if not held_out:
        return dataset
    unknown = sorted(set(held_out) - set(dataset.class_names))
    if unknown:
        raise ConfigError(
            f"held_out_classes names {shorten(unknown[0])}, which data set '{dataset.name}' lacks; correct it."
        )
    kept = [i for i, name in enumerate(dataset.class_names) if name not in held_out]
    if len(kept) < 2:
        raise ConfigError(f"held_out_classes leaves {len(kept)} classes of '{dataset.name}'; leave at least two.")
    return SubsetDataset(dataset, kept)
