"""Read the pictures of a class: files, folders and PIL images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tina_framework.errors import DataError, PromptError
from tina_framework.images import read_picture, to_rgb

__all__ = ["MAX_PICTURES", "read_pictures"]

MAX_PICTURES = 1000
"""Most pictures of one class. All are held in memory, and their mean hardly changes after the first dozens."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""Files that are taken from a folder. A file given by its own path may have any suffix."""

_SHORT_SIDE = 448
"""Pixels of the shorter side; larger pictures are scaled down, so that a folder of photographs fits in memory.

It is twice the size that the largest encoder (CLIP) reads.
"""


def read_pictures(pictures: Any) -> tuple[Image.Image, ...]:
    """Return upright RGB pictures in the given order, those of a folder sorted by file name.

    The shorter side has 448 pixels at most.

    Args:
        pictures: a PIL picture, file or folder, or a sequence of these.

    Raises:
        PromptError: there is no picture, there are more than `MAX_PICTURES`, or an entry has another type.
        DataError: a file is missing, damaged or too large; or a picture has no pixels.
    """
    if isinstance(pictures, bytes | bytearray):
        raise PromptError("prompt.images got bytes; give pictures, files or a folder.")
    if isinstance(pictures, str | Path | Image.Image):
        pictures = [pictures]
    if not isinstance(pictures, Sequence):
        raise PromptError(f"prompt.images got {type(pictures).__name__}; give pictures, files or a folder.")
    named: list[Image.Image | str | Path] = []
    for one in pictures:
        if not isinstance(one, str | Path | Image.Image):
            raise PromptError(f"A picture has the type {type(one).__name__}; give PIL pictures, files or a folder.")
        if not isinstance(one, Image.Image) and _is_folder(Path(one)):
            named += _files_of(Path(one))
        else:
            named.append(one)
    if not named:
        raise PromptError("The list of pictures of a class is empty; give at least one picture.")
    # Count before reading, because reading thousands of photographs takes minutes.
    if len(named) > MAX_PICTURES:
        raise PromptError(
            f"A class has {len(named):,} pictures, but at most {MAX_PICTURES:,} are allowed; a few dozen good ones are enough."
        )
    return tuple(_scaled(_rgb(one) if isinstance(one, Image.Image) else read_picture(one)) for one in named)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # For example a name that is too long. Reading the file gives a clear message.
        return False


def _rgb(picture: Image.Image) -> Image.Image:
    if 0 in picture.size:
        raise DataError(f"A picture has the size {picture.size}, so it has no pixels; give another one.")
    try:
        return to_rgb(picture)
    except (OSError, ValueError) as error:  # PIL opens files lazily and reads the pixels only now.
        raise DataError(
            f"A picture cannot be read ({error}); check that its file is complete and not closed."
        ) from error


def _files_of(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted by name."""
    # Some systems put a hidden file beside each picture.
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES]
    if not files:
        inside = next((entry for entry in entries if entry.is_dir()), None)
        hint = "add some or give another folder" if inside is None else f"give one of its folders, such as '{inside}'"
        raise PromptError(f"The folder '{folder}' has no picture ({', '.join(SUFFIXES[:3])}, ...); {hint}.")
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
