"""``arrays:FILE.npz``: a data set in one NumPy archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages, divide, readable
from tina_framework.errors import DataError
from tina_framework.images import split_of
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.storage.paths import user_path
from tina_framework.storage.text import is_lfs_pointer

__all__ = ["arrays"]

T = TypeVar("T")

_REQUIRED = ("train_images", "train_labels", "test_images", "test_labels", "class_names")
_OPTIONAL = ("validation_images", "validation_labels", "fine_to_coarse", "coarse_names")


def arrays(path: str | Path) -> Dataset:
    """Open and check an .npz archive. Images are read on first use.

    The archive has these arrays:

    - ``train_images`` and ``test_images``: (N, H, W, 3) uint8, or grey as (N, H, W) or (N, H, W, 1);
    - ``train_labels`` and ``test_labels``: (N,) or (N, 1) integers from 0 to K - 1;
    - ``class_names``: (K,) strings;
    - optionally ``validation_images`` and ``validation_labels``. Without them, the last tenth of each class's
      ``train_images``, in file order, is ``validation``;
    - optionally ``fine_to_coarse``, (K,) integers, and ``coarse_names``, (C,) strings: the superclasses.

    The splits may also have the names in `tina_framework.images.folders.SPLIT_NAMES`, such as ``val_images``.

    Args:
        path: the archive.

    Raises:
        DataError: the file is missing, is not an archive, lacks an array, or has an unknown one.
    """
    file = _Archive(user_path(path))
    missing = [name for name in _REQUIRED if name not in file.members]
    if missing:
        raise DataError(
            f"{file} lacks {', '.join(missing)}; expected {', '.join(_REQUIRED)}. "
            f"It has: {', '.join(file.members.values())}."
        )
    unknown = [own for name, own in file.members.items() if name not in (*_REQUIRED, *_OPTIONAL)]
    if unknown:
        raise DataError(
            f"{file} has unknown arrays: {', '.join(unknown)}; expected {', '.join(_REQUIRED)}, and perhaps "
            f"{', '.join(_OPTIONAL)}. Rename or remove them."
        )
    class_names = tuple(readable(name) for name in file.strings("class_names"))
    has_validation = any(name.startswith("validation_") for name in file.members)
    for split in ("train", "validation", "test") if has_validation else ("train", "test"):
        if f"{split}_images" not in file.members or f"{split}_labels" not in file.members:
            raise DataError(f"{file} has only one of '{split}_images' and '{split}_labels'; give both or neither.")
        file.check_images(f"{split}_images", f"{split}_labels", len(class_names))
    if has_validation and file.header("validation_images")[0][1:3] != file.header("train_images")[0][1:3]:
        raise DataError(f"{file}: 'validation_images' have another size than 'train_images'; scale them first.")

    def read_training() -> TrainingImages:
        images, labels = file.images("train_images"), file.integers("train_labels")
        if not has_validation:
            return divide(images, labels, len(class_names))
        both = np.concatenate([images, file.images("validation_images")])
        return LabelledImages(both, np.concatenate([labels, file.integers("validation_labels")])), len(images)

    def read_test() -> LabelledImages:
        return LabelledImages(file.images("test_images"), file.integers("test_labels"))

    return DividedDataset(
        f"arrays:{path}", class_names, _superclasses(file, len(class_names)), read_training, read_test
    )


def _standard_name(name: str) -> str:
    """Return the name of an array with the usual name of its split: ``Val_Images`` -> ``validation_images``."""
    split, _, what = name.lower().rpartition("_")
    return f"{split_of(split)}_{what}" if what in ("images", "labels") and split_of(split) else name


def _superclasses(file: _Archive, num_classes: int) -> tuple[int, ...] | None:
    if "fine_to_coarse" not in file.members:
        return None
    coarse = file.integers("fine_to_coarse")
    if coarse.shape != (num_classes,):
        raise DataError(
            f"{file}: 'fine_to_coarse' has shape {coarse.shape}; expected ({num_classes},), one entry a class."
        )
    upper = len(file.strings("coarse_names")) if "coarse_names" in file.members else int(coarse.max()) + 1
    if coarse.min() < 0 or coarse.max() >= upper:
        raise DataError(
            f"{file}: 'fine_to_coarse' has values {coarse.min()} to {coarse.max()}; expected 0 to {upper - 1}."
        )
    return tuple(int(value) for value in coarse)


class _Archive:
    """An .npz file whose arrays are read one at a time, without pickle.

    Attributes:
        path: the file.
        members: standard name of each array -> its name in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise DataError(f"{self} {what}; give the path of an .npz file: arrays:FILE.npz.")
        if is_lfs_pointer(path):
            raise DataError(f"{self} is a Git LFS pointer instead of the file itself; run `git lfs pull` to get it.")
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self} is not an .npz archive or is truncated ({error}); write it again with numpy.savez."
            ) from error
        self.members: dict[str, str] = {}
        for name in names:
            standard = _standard_name(name)
            if standard in self.members:
                raise DataError(f"{self}: '{self.members[standard]}' and '{name}' are both '{standard}'; remove one.")
            self.members[standard] = name

    def __str__(self) -> str:
        return f"Data file '{self.path}'"

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return a whole array."""

        def whole(handle: IO[bytes]) -> npt.NDArray[Any]:
            return np.asarray(np.lib.format.read_array(handle, allow_pickle=False))

        return self._with_member(name, whole)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of an array, without reading its values."""

        def head(handle: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
            version = np.lib.format.read_magic(handle)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(handle)
            return shape, dtype

        return self._with_member(name, head)

    def _with_member(self, name: str, use: Callable[[IO[bytes]], T]) -> T:
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.members[name]}.npy") as handle:
                return use(handle)
        # Any exception: a damaged or encrypted archive raises many kinds, and a wrong shape a MemoryError.
        except Exception as error:
            raise DataError(
                f"{self}: '{name}' cannot be read ({error}); write the file again with numpy.savez."
            ) from error

    def images(self, name: str) -> npt.NDArray[np.uint8]:
        """Return an image array as (N, H, W, 3); grey is repeated in all channels."""
        values = self.read(name)
        if values.ndim == 3:
            values = values[..., None]
        return np.repeat(values, 3, axis=3) if values.shape[-1] == 1 else values

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """Return an array of integers as (N,) int64."""
        values = self.read(name)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind not in "iu" or not len(values):
            raise DataError(
                f"{self}: '{name}' has shape {values.shape} and type {values.dtype}; expected (N,) integers."
            )
        return values.astype(np.int64)

    def strings(self, name: str) -> list[str]:
        """Return an array of strings as a list."""
        values = self.read(name)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind != "U":
            raise DataError(
                f"{self}: '{name}' has shape {values.shape} and type {values.dtype}; expected (K,) strings."
            )
        return [str(value) for value in values]

    def check_images(self, images: str, labels: str, num_classes: int) -> None:
        """Check the header of an image array, and all labels."""
        shape, dtype = self.header(images)
        fits = len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3))
        if not fits or 0 in shape[1:] or dtype != np.uint8:
            raise DataError(
                f"{self}: '{images}' has shape {shape} and type {dtype}; expected (N, height, width, 3) of type uint8, "
                "or grey without the 3."
            )
        values = self.integers(labels)
        if len(values) != shape[0]:
            raise DataError(f"{self}: {shape[0]} '{images}' but {len(values)} '{labels}'; expected one label each.")
        if values.min() < 0 or values.max() >= num_classes:
            raise DataError(
                f"{self}: '{labels}' has values {values.min()} to {values.max()}; "
                f"expected 0 to {num_classes - 1}, as there are {num_classes} class names."
            )
