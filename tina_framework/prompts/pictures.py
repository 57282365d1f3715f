"""Pictures that stand for a class: files, folders and PIL images, read before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tina_framework.errors import PromptError
from tina_framework.images import read_picture, to_rgb

__all__ = ["read_all"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""What is taken from a folder; a file that is named itself may have any name."""


def read_all(pictures: Any) -> tuple[Image.Image, ...]:
    """Upright RGB pictures, in the order given; those of a folder by file name.

    Raises:
        PromptError: there is none, or something is no picture.
        DataError: a file is missing, damaged or too large.
    """
    if isinstance(pictures, str | Path | Image.Image):
        pictures = [pictures]
    if not isinstance(pictures, Sequence):
        raise PromptError(f"prompt.images was given {type(pictures).__name__}; give pictures, files or a folder.")
    found: list[Image.Image] = []
    for one in pictures:
        if isinstance(one, Image.Image):
            found.append(to_rgb(one))
        elif isinstance(one, str | Path) and Path(one).is_dir():
            files = sorted(path for path in Path(one).iterdir() if path.suffix.lower() in SUFFIXES)
            if not files:
                raise PromptError(
                    f"The folder '{one}' holds no picture ({', '.join(SUFFIXES[:3])}, ...); put some there or name another."
                )
            found += [read_picture(path) for path in files]
        elif isinstance(one, str | Path):
            found.append(read_picture(one))
        else:
            raise PromptError(f"{one!r} is no picture; give PIL pictures, files or a folder.")
    if not found:
        raise PromptError("A class was to be said with pictures, but there is none; give at least one.")
    return tuple(found)
