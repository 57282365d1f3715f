"""``image-folder:FOLDER``: one folder of pictures for each class."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages, divide, readable
from tina_framework.errors import ConfigError, DataError
from tina_framework.images import class_folders, fit_picture, picture_files, read_picture, split_folders
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.storage.paths import user_path

__all__ = ["image_folder"]

_Files = list[tuple[Path, int]]


_DEFAULT_SIZE = 32

_Size = tuple[int, int]
"""Height and width in pixels."""


def image_folder(path: str | Path, *, size: int | None = None) -> Dataset:
    """Pictures in class folders. The folder has one of two layouts.

    - ``FOLDER/train/CLASS/*``, optionally with ``FOLDER/validation/CLASS/*`` and ``FOLDER/test/CLASS/*``. Without a validation
      folder, the last tenth of each class's training pictures, sorted by file name, is ``validation``. The folders may also
      have the names in `tina_framework.images.folders.SPLIT_NAMES`, such as ``Training``, ``val`` and ``eval``.
    - ``FOLDER/CLASS/*``. A hash of class and file name puts 80 % into ``train``, 10 % into ``validation`` and 10 % into ``test``.
      So a new picture does not move others to another split, except in classes of a few pictures: where the hash leaves a split
      without any, the picture with the lowest hash moves there. A class of two pictures has none in ``test``.

    Pictures are read as in prediction (`tina_framework.images`): of any format and mode that Pillow reads, turned as EXIF says,
    transparency on white, the centre square scaled to `size` x `size`. Hidden files, those of operating systems and other file
    types are ignored. Pictures are read one by one on first use, and stay in memory at the size of the result.

    Args:
        path: the folder.
        size: height and width in pixels. None: the size that the architecture at hand needs, or 32 where there is no architecture.

    Raises:
        DataError: the folder is missing or has another layout, two folders are one class, or a folder beside ``train`` is not a
            split; or (on `load`) a picture cannot be read.
        ConfigError: `size` is not positive.
    """
    if size is not None and size < 1:
        raise ConfigError(f"The picture size {size} is not positive; use for example 32.")
    root = user_path(path)
    if not root.is_dir():
        raise DataError(f"'{root}' is not a folder; give a folder of class folders: image-folder:FOLDER.")
    splits = split_folders(root)
    source = splits.get("train", root)
    folders = _classes(source)
    if len(folders) < 2:
        raise DataError(
            f"'{source}' has {len(folders)} class folders; expected at least two, as FOLDER/train/CLASS/* or FOLDER/CLASS/*."
        )

    def open_at(size: _Size) -> _ImageFolder:
        readers = _with_split_folders(splits, folders, size) if splits else _with_hashed_names(folders, size)
        return _ImageFolder(f"image-folder:{path}", tuple(folders), None, *readers)

    opened = open_at((size or _DEFAULT_SIZE,) * 2)
    if size is None:
        opened.sizes, opened.open_at = {(_DEFAULT_SIZE, _DEFAULT_SIZE): opened}, open_at
    return opened


class _ImageFolder(DividedDataset):
    """An image folder, which may be read at several sizes.

    Attributes:
        sizes: the data sets of all sizes that were asked for. Each of them reads every picture once. Empty: the size is fixed.
        open_at: opens the folder at another size; None: the size is fixed.
    """

    sizes: dict[_Size, Dataset]
    open_at: Callable[[_Size], _ImageFolder] | None = None

    def scaled_to(self, height: int, width: int) -> Dataset:
        """Return the folder with pictures of this size. A size that was given to `image_folder` is kept."""
        if self.open_at is None:
            return self
        if (height, width) not in self.sizes:
            self.sizes[height, width] = self.open_at((height, width))
        return self.sizes[height, width]


def _classes(folder: Path) -> dict[str, Path]:
    """Return class name -> folder, sorted by name."""
    return {readable(name): path for name, path in class_folders(folder, key=readable)}


_Readers = tuple[Callable[[], TrainingImages], Callable[[], LabelledImages] | None]


def _with_split_folders(splits: Mapping[str, Path], folders: Mapping[str, Path], size: _Size) -> _Readers:
    """Return readers for FOLDER/train, FOLDER/validation and FOLDER/test."""
    labels = {name: label for label, name in enumerate(folders)}
    files: dict[str, _Files] = {"train": _pictures(folders.values())}
    for split, place in splits.items():
        if split == "train":
            continue
        files[split] = []
        for name, folder in _classes(place).items():
            if name not in labels:
                raise DataError(f"'{folder}' is a class that '{splits['train']}' lacks; add or remove it.")
            files[split] += [(file, labels[name]) for file in picture_files(folder)]

    def read_training() -> TrainingImages:
        train = _read(files["train"], size)
        if "validation" not in files:
            return divide(train.images, train.labels, len(folders))
        validation = _read(files["validation"], size)
        images = np.concatenate([train.images, validation.images])
        return LabelledImages(images, np.concatenate([train.labels, validation.labels])), len(train)

    return read_training, (lambda: _read(files["test"], size)) if "test" in files else None


def _with_hashed_names(folders: Mapping[str, Path], size: _Size) -> _Readers:
    """Return readers for FOLDER/CLASS, split by a hash of the file names."""

    def part(split: str) -> _Files:
        classes = [_hashed_splits(picture_files(folder)) for folder in folders.values()]
        return [(file, label) for label, splits in enumerate(classes) for file, own in splits.items() if own == split]

    def read_training() -> TrainingImages:
        train = part("train")
        return _read(train + part("validation"), size), len(train)

    return read_training, lambda: _read(part("test"), size)


def _hashed_splits(files: list[Path]) -> dict[Path, str]:
    """Return the split of each picture of one class, in the order given."""
    hashes = {file: _hash(file) for file in files}
    lowest = sorted(files, key=hashes.__getitem__)
    if len(files) < 3:
        chosen = dict(zip(lowest, ("train", "validation"), strict=False))
        return {file: chosen[file] for file in files}
    splits = {file: {0: "test", 1: "validation"}.get(hashes[file] % 10, "train") for file in files}
    for split in ("train", "validation", "test"):
        if split not in splits.values():
            [(largest, _)] = Counter(splits.values()).most_common(1)
            splits[next(file for file in lowest if splits[file] == largest)] = split
    return splits


def _hash(file: Path) -> int:
    # Composed letters, because systems write the same name in two forms. A name may also hold bytes that are not text.
    name = unicodedata.normalize("NFC", f"{file.parent.name}/{file.name}").encode(errors="surrogateescape")
    return int(hashlib.sha256(name).hexdigest(), 16)


def _pictures(folders: Iterable[Path]) -> _Files:
    """Return the picture files of class folders with their labels, sorted by name."""
    return [(file, label) for label, folder in enumerate(folders) for file in picture_files(folder)]


def _read(files: _Files, size: _Size) -> LabelledImages:
    images = np.empty((len(files), *size, 3), dtype=np.uint8)
    width_first = size[1], size[0]  # as Pillow gives sizes
    for i, (file, _) in enumerate(files):
        images[i] = fit_picture(read_picture(file, width_first), width_first)
    return LabelledImages(images, np.asarray([label for _, label in files], dtype=np.int64))
