"""Made-up pictures, where a check needs a data set but not its contents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tina_framework.interfaces.dataset import ArrayDataset, Dataset, ImageSplit, LabelledImages

__all__ = ["noise_dataset"]

_PER_CLASS: dict[ImageSplit, int] = {"train": 6, "validation": 2, "test": 2}


def noise_dataset(class_names: Sequence[str], size: int = 32) -> Dataset:
    """Return a data set of random pixels, the same one in every call.

    Args:
        class_names: the classes. Each has 6 pictures for training, 2 for validation and 2 for testing.
        size: height and width of a picture.
    """
    splits = {}
    for number, (split, count) in enumerate(_PER_CLASS.items()):
        draws = np.random.default_rng(number)
        labels = np.repeat(np.arange(len(class_names)), count)
        splits[split] = LabelledImages(draws.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8), labels)
    made: Dataset = ArrayDataset("noise", tuple(class_names), splits)  # type: ignore[assignment]  # its fields are read-only
    return made
