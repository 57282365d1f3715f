"""``oscilloscope``: drawn pictures of 16 kinds of waves, such as "noisy short square wave"; nothing to download."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.dataset import Dataset, ImageSplit, LabelledImages

from tina_oscilloscope.waves import CLASS_NAMES, draw

__all__ = ["Oscilloscope", "oscilloscope"]

_SPLITS = ("train", "validation", "test")
_HELD_BACK = 20
"""Pictures of each class for validation, and as many for testing."""


class Oscilloscope:
    """A `Dataset` that draws a split when it is loaded. Each split has its own seed, so that no picture is in two."""

    class_names = CLASS_NAMES
    superclasses: tuple[int, ...] | None = None

    def __init__(self, name: str, images_per_class: int) -> None:
        self.name = name
        self.images_per_class = images_per_class

    def load(self, split: ImageSplit) -> LabelledImages:
        """Return the pictures of ``train``, ``validation`` or ``test``, the same ones every time.

        Raises:
            DataError: there is no such split.
        """
        if split not in _SPLITS:
            raise DataError(f"Data set '{self.name}' has no split '{split}'. It has: {', '.join(_SPLITS)}.")
        return _drawn(split, self.images_per_class if split == "train" else _HELD_BACK)


def oscilloscope(images_per_class: str = "100") -> Dataset:
    """Return the data set ``oscilloscope``, or ``oscilloscope:200`` with 200 training pictures of each class.

    Raises:
        ConfigError: the argument is not a whole number from 1 up.
    """
    if not images_per_class.isdecimal() or int(images_per_class) < 1:
        raise ConfigError(
            f"The data set 'oscilloscope' cannot draw '{images_per_class}' pictures of each class; "
            "write a whole number from 1 up, as in oscilloscope:200."
        )
    number = int(images_per_class)
    return Oscilloscope("oscilloscope" if number == 100 else f"oscilloscope:{number}", number)


@lru_cache(maxsize=8)
def _drawn(split: ImageSplit, per_class: int) -> LabelledImages:
    labels = np.tile(np.arange(len(CLASS_NAMES)), per_class)
    return LabelledImages(draw(labels.tolist(), np.random.default_rng(_SPLITS.index(split))), labels)
