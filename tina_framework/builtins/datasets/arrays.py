"""``arrays:FILE.npz``: a data set in one NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages, divide, readable
from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.storage.paths import user_path

__all__ = ["arrays"]

T = TypeVar("T")

_REQUIRED = ("train_images", "train_labels", "test_images", "test_labels", "class_names")


def arrays(path: str | Path) -> Dataset:
    """Open and check an .npz archive. Images are read on first use.

    The archive has these arrays:

    - ``train_images`` and ``test_images``: (N, H, W, 3) uint8;
    - ``train_labels`` and ``test_labels``: (N,) integers from 0 to K - 1;
    - ``class_names``: (K,) strings;
    - optionally ``fine_to_coarse``, (K,) integers, and ``coarse_names``, (C,) strings: the superclasses.

    The last tenth of each class's ``train_images``, in file order, is ``validation``.

    Args:
        path: the archive.

    Raises:
        DataError: the file is missing, is not an archive, or has other arrays.
    """
    file = _Archive(user_path(path))
    missing = [name for name in _REQUIRED if name not in file.names]
    if missing:
        raise DataError(
            f"{file} lacks {', '.join(missing)}; expected {', '.join(_REQUIRED)}. It has: {', '.join(file.names)}."
        )
    class_names = tuple(readable(name) for name in file.strings("class_names"))
    for split in ("train", "test"):
        file.check_images(f"{split}_images", f"{split}_labels", len(class_names))

    def read_training() -> TrainingImages:
        return divide(file.read("train_images"), file.integers("train_labels"), len(class_names))

    def read_test() -> LabelledImages:
        return LabelledImages(file.read("test_images"), file.integers("test_labels"))

    return DividedDataset(
        f"arrays:{path}", class_names, _superclasses(file, len(class_names)), read_training, read_test
    )


def _superclasses(file: _Archive, num_classes: int) -> tuple[int, ...] | None:
    if "fine_to_coarse" not in file.names:
        return None
    coarse = file.integers("fine_to_coarse")
    if coarse.shape != (num_classes,):
        raise DataError(
            f"{file}: 'fine_to_coarse' has shape {coarse.shape}; expected ({num_classes},), one entry a class."
        )
    upper = len(file.strings("coarse_names")) if "coarse_names" in file.names else int(coarse.max()) + 1
    if coarse.min() < 0 or coarse.max() >= upper:
        raise DataError(
            f"{file}: 'fine_to_coarse' has values {coarse.min()} to {coarse.max()}; expected 0 to {upper - 1}."
        )
    return tuple(int(value) for value in coarse)


class _Archive:
    """An .npz file whose arrays are read one at a time, without pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"{self} does not exist; give the path of an .npz file: arrays:FILE.npz.")
        try:
            with zipfile.ZipFile(path) as archive:
                self.names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self} is not an .npz archive or is truncated ({error}); write it again with numpy.savez."
            ) from error

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
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as handle:
                return use(handle)
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self}: '{name}' cannot be read ({error}); write the file again with numpy.savez."
            ) from error

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """Return an array of integers as (N,) int64."""
        values = self.read(name)
        if values.ndim != 1 or values.dtype.kind not in "iu" or not len(values):
            raise DataError(
                f"{self}: '{name}' has shape {values.shape} and type {values.dtype}; expected (N,) integers."
            )
        return values.astype(np.int64)

    def strings(self, name: str) -> list[str]:
        """Return an array of strings as a list."""
        values = self.read(name)
        if values.ndim != 1 or values.dtype.kind != "U":
            raise DataError(
                f"{self}: '{name}' has shape {values.shape} and type {values.dtype}; expected (K,) strings."
            )
        return [str(value) for value in values]

    def check_images(self, images: str, labels: str, num_classes: int) -> None:
        """Check the header of an image array, and all labels."""
        shape, dtype = self.header(images)
        if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8:
            raise DataError(
                f"{self}: '{images}' has shape {shape} and type {dtype}; expected (N, height, width, 3) of type uint8."
            )
        values = self.integers(labels)
        if len(values) != shape[0]:
            raise DataError(f"{self}: {shape[0]} '{images}' but {len(values)} '{labels}'; expected one label each.")
        if values.min() < 0 or values.max() >= num_classes:
            raise DataError(
                f"{self}: '{labels}' has values {values.min()} to {values.max()}; "
                f"expected 0 to {num_classes - 1}, as there are {num_classes} class names."
            )
