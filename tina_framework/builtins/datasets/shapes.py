"""``shapes``: drawn pictures of 64 compositional classes such as "striped red triangle". It needs no download."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.datasets import _drawing
from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages
from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import Dataset, LabelledImages

__all__ = ["CLASS_NAMES", "shapes"]

_COMPOSITIONS = tuple(product(_drawing.SHAPES, _drawing.TEXTURES, _drawing.COLOURS))

CLASS_NAMES = tuple(f"{texture} {colour} {shape}" for shape, texture, colour in _COMPOSITIONS)
"""4 textures x 4 colours x 4 shapes. The shape is the superclass."""

_PARTS = {"train": 0, "validation": 1, "test": 2}


def shapes(
    images_per_class: int | str = 100, *, validation_per_class: int = 20, test_per_class: int = 20, seed: int = 0
) -> Dataset:
    """Drawn pictures of 32x32 pixels. Position, size, rotation, shade, background and noise vary.

    Equal arguments give equal pictures. Picture i of a class does not depend on the number of pictures.

    Args:
        images_per_class: training pictures for each class; on the command line ``shapes:200``.
        validation_per_class: validation pictures for each class.
        test_per_class: test pictures for each class.
        seed: an integer of 0 or more.

    Raises:
        ConfigError: a number is not a positive integer, or the seed is negative.
    """
    name = "shapes" if images_per_class == 100 else f"shapes:{images_per_class}"
    counts = {"train": _positive(images_per_class)}
    counts |= {"validation": _positive(validation_per_class), "test": _positive(test_per_class)}
    if seed < 0:
        raise ConfigError(f"The seed of the data set 'shapes' is {seed}; use an integer of 0 or more.")

    def read_training() -> TrainingImages:
        train, validation = (_part(part, counts[part], seed) for part in ("train", "validation"))
        images = np.concatenate([train.images, validation.images])
        return LabelledImages(images, np.concatenate([train.labels, validation.labels])), len(train)

    superclasses = tuple(_drawing.SHAPES.index(shape) for shape, _, _ in _COMPOSITIONS)
    return DividedDataset(name, CLASS_NAMES, superclasses, read_training, lambda: _part("test", counts["test"], seed))


def _positive(number: int | str) -> int:
    try:
        value = int(number)
    except ValueError:
        value = 0
    if value < 1:
        raise ConfigError(
            f"The data set 'shapes' cannot draw {number!r} pictures for each class; give a whole number of 1 or more."
        )
    return value


@lru_cache(maxsize=8)
def _part(part: str, per_class: int, seed: int) -> LabelledImages:
    """Draw `per_class` pictures of every class, in rounds over all classes."""
    rng = np.random.default_rng([seed, _PARTS[part]])
    rounds = [_drawing.draw(_COMPOSITIONS, rng) for _ in range(per_class)]
    labels: npt.NDArray[np.int64] = np.tile(np.arange(len(_COMPOSITIONS)), per_class)
    return LabelledImages(np.concatenate(rounds), labels)
