"""Read the pictures of a class: files, folders, PIL images and others."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from PIL import Image

from tina_framework.errors import DataError, PromptError
from tina_framework.images import as_picture, picture_files, separated

__all__ = ["MAX_PICTURES", "read_pictures"]

MAX_PICTURES = 1000
"""Maximum number of pictures of one class. All are held in memory, and their mean hardly changes after the first dozens."""

_SHORT_SIDE = 448
"""Pixels of the shorter side; larger pictures are scaled down, so that a folder of photographs fits in memory.

It is twice the size that the largest encoder (CLIP) reads.
"""


def read_pictures(pictures: Any) -> tuple[Image.Image, ...]:
    """Return upright RGB pictures in the given order, those of a folder sorted by file name.

    The shorter side has 448 pixels at most.

    Args:
        pictures: one picture, a folder of pictures, or a sequence or iterator of these. A picture is of any kind that
            `tina_framework.images.pictures` takes: a PIL picture, a file, the bytes of a file, ...

    Raises:
        PromptError: there is no picture, there are more than `MAX_PICTURES`, or an entry has another type.
        DataError: a file is missing, damaged or too large; or a picture has no pixels.
    """
    try:
        # One more than allowed is enough to know that there are too many, also of an endless iterator.
        given = list(itertools.islice(separated(pictures), MAX_PICTURES + 1))
    except DataError as error:
        raise PromptError(f"prompt.images cannot use this: {error}") from error
    named: list[Any] = []
    for one in given:
        if isinstance(one, int | float | None):
            raise PromptError(f"A picture has the type {type(one).__name__}; give PIL pictures, files or a folder.")
        if isinstance(one, str | os.PathLike) and _is_folder(Path(one)):
            named += _files_of(Path(one))
        else:
            named.append(one)
    if not named:
        raise PromptError("The list of pictures of a class is empty; give at least one picture.")
    # Count before reading, because reading thousands of photographs takes minutes.
    if len(named) > MAX_PICTURES:
        raise PromptError(
            f"A class has more than {MAX_PICTURES:,} pictures, which is the limit; a few dozen good ones are enough."
        )
    return tuple(_scaled(as_picture(one)) for one in named)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # For example a name that is too long. Reading the file gives a clear message.
        return False


def _files_of(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted by name."""
    files = picture_files(folder)
    if not files:
        inside = next(
            (entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] not in ".@_"), None
        )
        hint = "add some or give another folder" if inside is None else f"give one of its folders, such as '{inside}'"
        raise PromptError(f"The folder '{folder}' has no picture (.png, .jpg, .webp, ...); {hint}.")
    if len(files) > MAX_PICTURES:
        raise PromptError(
            f"The folder '{folder}' has {len(files):,} pictures, but at most {MAX_PICTURES:,} are allowed for one class; a few "
            "dozen good ones are enough."
        )
    return files


def _scaled(picture: Image.Image) -> Image.Image:
    shorter = min(picture.size)
    if shorter <= _SHORT_SIDE:
        return picture
    width, height = (max(1, round(side * _SHORT_SIDE / shorter)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)
