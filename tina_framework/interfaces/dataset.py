"""Labelled image data sets, as whole uint8 arrays: everything here is small enough to stay in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tina_framework.errors import DataError
from tina_framework.interfaces.class_names import checked_names

__all__ = ["ArrayDataset", "Dataset", "ImageSplit", "LabelledImages"]

ImageSplit = str
"""``train``, ``validation`` or ``test``."""


@dataclass(frozen=True)
class LabelledImages:
    """Images and labels of one split.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int64, indices into the data set's `class_names`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8:
            raise DataError(
                f"Images have shape {self.images.shape} and type {self.images.dtype}; "
                "expected (N, height, width, 3) of type uint8."
            )
        if self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{len(self.images)} images but labels of shape {self.labels.shape}; expected one label each."
            )

    def __len__(self) -> int:
        return len(self.labels)


@runtime_checkable
class Dataset(Protocol):
    """A named set of classes with images.

    Attributes:
        name: the registry name it was made under, with its argument if it had one (``arrays:FILE.npz``).
        class_names: K names, lower case with spaces; label i means `class_names[i]`.
        superclasses: a tuple of K superclass indices if the data set has them, else None.
    """

    name: str
    class_names: tuple[str, ...]
    superclasses: tuple[int, ...] | None

    def load(self, split: ImageSplit) -> LabelledImages:
        """Return the images of ``train``, ``validation`` or ``test``.

        ``train`` and ``validation`` are disjoint parts of the training images that the data set comes with. The division
        depends on the data alone, so that every command sees the same one.

        Raises:
            DataError: the data is missing or malformed, or there is no such split.
        """
        ...


@dataclass(frozen=True)
class ArrayDataset:
    """A `Dataset` over arrays in memory, which most implementations can return.

    Raises:
        DataError: a class name is empty, too long or not printable, or occurs twice; or the labels or superclasses do not fit.
    """

    name: str
    class_names: tuple[str, ...]
    splits: dict[ImageSplit, LabelledImages] = field(repr=False)
    superclasses: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        names = checked_names(self.class_names, f"Data set '{self.name}': class_names")
        object.__setattr__(self, "class_names", names)
        if self.superclasses is not None and len(self.superclasses) != len(self.class_names):
            raise DataError(
                f"Data set '{self.name}' has {len(self.class_names)} classes but {len(self.superclasses)} superclass entries."
            )
        for split, data in self.splits.items():
            if len(data) and not (int(data.labels.min()) >= 0 and int(data.labels.max()) < len(self.class_names)):
                raise DataError(
                    f"Data set '{self.name}', split '{split}': a label lies outside 0..{len(self.class_names) - 1}."
                )

    def load(self, split: ImageSplit) -> LabelledImages:
        if split not in self.splits:
            raise DataError(f"Data set '{self.name}' has no split '{split}'. It has: {', '.join(sorted(self.splits))}.")
        return self.splits[split]
