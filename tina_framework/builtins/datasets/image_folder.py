"""``image-folder:FOLDER``: one folder of pictures for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages, divide, readable
from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.storage.paths import user_path

__all__ = ["image_folder"]

_Files = list[tuple[Path, int]]


def image_folder(path: str | Path, *, size: int = 32) -> Dataset:
    """Pictures in class folders. The folder has one of two layouts.

    - ``FOLDER/train/CLASS/*``, optionally with ``FOLDER/validation/CLASS/*`` and ``FOLDER/test/CLASS/*``. Without a validation
      folder, the last tenth of each class's training pictures, sorted by file name, is ``validation``.
    - ``FOLDER/CLASS/*``. A hash of class and file name puts 80 % into ``train``, 10 % into ``validation`` and 10 % into ``test``.
      So a new picture does not move others to another split.

    Pictures may have any format, size and mode that Pillow reads. EXIF rotation is applied, transparency becomes white, grey
    becomes RGB, and the picture is scaled to `size` x `size`. Hidden files and other file types are ignored. Pictures are read
    on first use and stay in memory.

    Args:
        path: the folder.
        size: height and width in pixels.

    Raises:
        DataError: the folder is missing or has another layout; or (on `load`) a picture cannot be read.
        ConfigError: `size` is not positive.
    """
    if size < 1:
        raise ConfigError(f"The picture size {size} is not positive; use for example 32.")
    root = user_path(path)
    if not root.is_dir():
        raise DataError(f"'{root}' is not a folder; give a folder of class folders: image-folder:FOLDER.")
    has_splits = _is_split(root / "train")
    source = root / "train" if has_splits else root
    folders = _subfolders(source)
    class_names = tuple(readable(folder.name) for folder in folders)
    if len(class_names) < 2:
        raise DataError(
            f"'{source}' has {len(class_names)} class folders; expected at least two, as FOLDER/train/CLASS/* or FOLDER/CLASS/*."
        )
    if has_splits:
        training, test = _with_split_folders(root, folders, class_names, size)
    else:
        training, test = _with_hashed_names(folders, size)
    return DividedDataset(f"image-folder:{path}", class_names, None, training, test)


_Readers = tuple[Callable[[], TrainingImages], Callable[[], LabelledImages] | None]


def _with_split_folders(root: Path, folders: Sequence[Path], class_names: Sequence[str], size: int) -> _Readers:
    """Return readers for FOLDER/train, FOLDER/validation and FOLDER/test."""
    labels = {name: label for label, name in enumerate(class_names)}
    parts: dict[str, list[tuple[Path, int]]] = {}
    for split in ("validation", "test"):
        for folder in _subfolders(root / split):
            if readable(folder.name) not in labels:
                raise DataError(f"'{folder}' is a class that '{root / 'train'}' lacks; add or remove it.")
            parts.setdefault(split, []).append((folder, labels[readable(folder.name)]))

    def read_training() -> TrainingImages:
        train = _read(_pictures(list(zip(folders, range(len(folders)), strict=True))), size)
        if "validation" not in parts:
            return divide(train.images, train.labels, len(folders))
        validation = _read(_pictures(parts["validation"]), size)
        images = np.concatenate([train.images, validation.images])
        return LabelledImages(images, np.concatenate([train.labels, validation.labels])), len(train)

    return read_training, (lambda: _read(_pictures(parts["test"]), size)) if "test" in parts else None


def _with_hashed_names(folders: Sequence[Path], size: int) -> _Readers:
    """Return readers for FOLDER/CLASS, split by a hash of the file names."""

    def part(split: str) -> _Files:
        return [
            (f, label)
            for f, label in _pictures(list(zip(folders, range(len(folders)), strict=True)))
            if _hashed(f) == split
        ]

    def read_training() -> TrainingImages:
        train = part("train")
        return _read(train + part("validation"), size), len(train)

    return read_training, lambda: _read(part("test"), size)


def _hashed(file: Path) -> str:
    tenth = int(hashlib.sha256(f"{file.parent.name}/{file.name}".encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: readable(p.name)
    )


def _is_split(folder: Path) -> bool:
    """Whether FOLDER/train contains class folders. A class that is called "train" contains pictures instead."""
    return bool(_subfolders(folder)) and not _pictures([(folder, 0)])


def _pictures(folders: Sequence[tuple[Path, int]]) -> _Files:
    """Return the picture files of the folders with their labels, sorted by name."""
    extensions = Image.registered_extensions()
    return [
        (file, label)
        for folder, label in folders
        for file in sorted(folder.iterdir())
        if file.is_file() and file.suffix.lower() in extensions and not file.name.startswith(".")
    ]


def _read(files: _Files, size: int) -> LabelledImages:
    images = np.empty((len(files), size, size, 3), dtype=np.uint8)
    for i, (file, _) in enumerate(files):
        images[i] = np.asarray(_picture(file, size))
    return LabelledImages(images, np.asarray([label for _, label in files], dtype=np.int64))


def _picture(file: Path, size: int) -> Image.Image:
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey at 255.
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "A" in image.getbands() or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, NotImplementedError, Image.DecompressionBombError) as error:
        raise DataError(f"The picture '{file}' cannot be read ({error}); repair or remove it.") from error
