"""Labelled image data sets, as whole uint8 arrays: everything here is small enough to stay in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tina_framework.errors import DataError, reason_of, shorten
from tina_framework.interfaces.class_names import checked_names

__all__ = ["ArrayDataset", "Dataset", "ImageSplit", "LabelledImages", "ScalesPictures", "scaled_to"]

ImageSplit = str
"""``train``, ``validation`` or ``test``."""


@dataclass(frozen=True)
class LabelledImages:
    """Images and labels of one split.

    What stands for the same pictures and labels is converted: grey images (N, H, W) or (N, H, W, 1), other integer types with
    values from 0 to 255, and labels (N, 1) or in a list.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int64, indices into the data set's `class_names`.

    Raises:
        DataError: the arrays have other shapes, types or values.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = _as_images(self.images), _as_labels(self.labels)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise DataError(
                f"Images have shape {images.shape} and type {images.dtype}; "
                f"expected (N, height, width, 3) of type uint8.{_advice(images)}"
            )
        if labels.shape != images.shape[:1]:
            raise DataError(f"{len(images)} images but labels of shape {labels.shape}; expected one label each.")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)


def _array(given: Any, what: str) -> npt.NDArray[Any]:
    if hasattr(given, "detach"):  # a tensor of torch
        given = given.detach().cpu().numpy()
    try:
        array = np.asarray(given)
    except Exception as error:  # a ragged list, or an object whose conversion fails
        raise DataError(f"{what} are {shorten(given)}, not an array ({reason_of(error)}).") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} are {shorten(given)}, not an array of numbers.")
    return array


def _as_images(given: Any) -> npt.NDArray[np.uint8]:
    images = _array(given, "Images")
    if images.dtype != np.uint8 and images.dtype.kind in "iu":
        if images.size and not (images.min() >= 0 and images.max() <= 255):
            raise DataError(
                f"Images have values from {images.min()} to {images.max()}; expected 0 to 255, as in pictures of type uint8."
            )
        images = images.astype(np.uint8)
    if images.ndim == 3 and images.shape[-1] > 4:
        images = images[..., None]
    if images.ndim == 4 and images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=3)
    return images


def _as_labels(given: Any) -> npt.NDArray[np.int64]:
    labels = _array(given, "Labels")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" and labels.size:
        if labels.dtype.kind == "f" and labels.ndim == 2:
            raise DataError(
                f"Labels have shape {labels.shape} and type {labels.dtype}; give numbers: labels.argmax(axis=1)."
            )
        if labels.dtype.kind == "b" or not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
            raise DataError(
                f"Labels are of type {labels.dtype}; expected (N,) whole numbers, the numbers of the classes."
            )
    return labels.astype(np.int64, copy=False)


def _advice(images: npt.NDArray[Any]) -> str:
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[-1] not in (1, 3):
        return " Put the channels last: images.transpose(0, 2, 3, 1)."
    if images.dtype.kind == "f":
        return " Convert numbers from 0 to 1 with (images * 255).round().astype('uint8')."
    return ""


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


@runtime_checkable
class ScalesPictures(Protocol):
    """A data set that can read its pictures at another size, such as one of photographs in files.

    Networks take pictures of different sizes. Pictures of any other data set are used at the size that `load` returns.
    """

    def scaled_to(self, height: int, width: int) -> Dataset:
        """Return the same data set with pictures (N, height, width, 3). Names, labels and order stay the same.

        Return the data set itself if its size is fixed, for example because the user chose it.
        """
        ...


def scaled_to(dataset: Dataset, height: int, width: int) -> Dataset:
    """Return the data set with pictures of a size if it can scale them (`ScalesPictures`), else the data set itself."""
    return dataset.scaled_to(height, width) if isinstance(dataset, ScalesPictures) else dataset


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
