"""Pictures that stand for a class: files, folders and PIL images, read before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tina_framework.errors import DataError, PromptError
from tina_framework.images import read_picture, to_rgb

__all__ = ["MAX_PICTURES", "read_pictures"]

MAX_PICTURES = 1000
"""Of one class. Their mean hardly changes after the first dozens, and all are held in memory."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""What is taken from a folder; a file that is named itself may have any name."""

_SHORT_SIDE = 448
"""Larger pictures are scaled down to it: twice what the largest encoder (CLIP) reads, and a folder of photographs fits in memory."""


def read_pictures(pictures: Any) -> tuple[Image.Image, ...]:
    """Upright RGB pictures, in the order given; those of a folder by file name. Their shorter side is 448 pixels at most.

    Raises:
        PromptError: there is none, there are more than `MAX_PICTURES`, or something is no picture.
        DataError: a file is missing, damaged or too large; or a picture has no pixels.
    """
    if isinstance(pictures, bytes | bytearray):
        raise PromptError("prompt.images was given bytes; give pictures, files or a folder.")
    if isinstance(pictures, str | Path | Image.Image):
        pictures = [pictures]
    if not isinstance(pictures, Sequence):
        raise PromptError(f"prompt.images was given {type(pictures).__name__}; give pictures, files or a folder.")
    named: list[Image.Image | str | Path] = []
    for one in pictures:
        if not isinstance(one, str | Path | Image.Image):
            raise PromptError(f"A picture was given as {type(one).__name__}; give PIL pictures, files or a folder.")
        if not isinstance(one, Image.Image) and _is_folder(Path(one)):
            named += _files_of(Path(one))
        else:
            named.append(one)
    if not named:
        raise PromptError("A class was to be said with pictures, but there is none; give at least one.")
    # Counted before any is read: thousands of photographs take minutes.
    if len(named) > MAX_PICTURES:
        raise PromptError(
            f"A class was given {len(named):,} pictures, and {MAX_PICTURES:,} are the most; a few dozen good ones say as much."
        )
    return tuple(_scaled(_rgb(one) if isinstance(one, Image.Image) else read_picture(one)) for one in named)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, say: reading it says so
        return False


def _rgb(picture: Image.Image) -> Image.Image:
    if 0 in picture.size:
        raise DataError(f"A picture has the size {picture.size}; it has no pixels.")
    try:
        return to_rgb(picture)
    except (OSError, ValueError) as error:  # pixels are read from the file only now
        raise DataError(f"A picture cannot be read ({error}); give one that is whole and not closed.") from error


def _files_of(folder: Path) -> list[Path]:
    """Pictures of a folder by name, hidden ones (which some systems put beside each file) left out."""
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES]
    if not files:
        inside = next((entry for entry in entries if entry.is_dir()), None)
        hint = "put some there or name another" if inside is None else f"name one of its folders, such as '{inside}'"
        raise PromptError(f"The folder '{folder}' holds no picture ({', '.join(SUFFIXES[:3])}, ...); {hint}.")
    if len(files) > MAX_PICTURES:
        raise PromptError(
            f"The folder '{folder}' holds {len(files):,} pictures, and {MAX_PICTURES:,} are the most of one class; a few dozen "
            "good ones say as much."
        )
    return files


def _scaled(picture: Image.Image) -> Image.Image:
    shorter = min(picture.size)
    if shorter <= _SHORT_SIDE:
        return picture
    width, height = (max(1, round(side * _SHORT_SIDE / shorter)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)
