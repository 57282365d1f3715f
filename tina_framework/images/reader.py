"""Read one picture: a file, the bytes of a file, or an open file."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from tina_framework.errors import DataError
from tina_framework.storage.text import is_lfs_pointer

__all__ = ["NO_PICTURES", "PictureFile", "is_picture_file", "read_picture", "to_rgb"]

PictureFile = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
"""A path, the contents of a file, or a file that is open for reading bytes."""

NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"})
"""Formats that Pillow registers but that are not pictures: it only recognises or writes them, or starts another program."""

_KEPT = 2
"""A JPEG file is decoded at a reduced size of at least this many times the target. The rest is done by `fit_picture`. Pillow's own
thumbnails keep as much."""

_SHORTEST = 256
"""No JPEG file is reduced to fewer pixels than this. At the sizes below it, decoding takes little time anyway."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how to turn the picture upright."""

_ROWS = 256
"""Rows that are converted at a time where that needs much memory for each pixel."""


def is_picture_file(value: Any) -> bool:
    """Return whether `read_picture` takes the value."""
    return isinstance(value, str | os.PathLike | bytes | bytearray | memoryview) or callable(
        getattr(value, "read", None)
    )


def read_picture(source: PictureFile, target: tuple[int, int] | None = None) -> Image.Image:
    """Read one picture as RGB, turned upright. Of several frames or pages, the first is read.

    Args:
        source: a path, the bytes of a picture file, or an open file. An open file is read from its start, and stays open.
        target: (W, H) to which the picture will be fitted. A much larger JPEG file is then decoded at a reduced size, which
            takes less time and memory.

    Raises:
        DataError: the file is missing, is not a regular file or a picture, is damaged, or has more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    subject = _subject(source)
    file = _readable(source, subject)
    try:
        # Not in a `with` block of the picture's own: it would close a file that the caller opened.
        with Image.open(file) as picture:
            _check(picture, subject)
            if target is not None:
                # The picture may lie on its side, so both of its sides must be long enough for either side of the target.
                side = max(_KEPT * max(target), _SHORTEST)
                picture.draft(None, (side, side))
            return _rgb(picture)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{subject} is too large to be opened safely; scale it down first.") from error
    except UnidentifiedImageError as error:
        raise DataError(_unknown(file, subject)) from error
    # Any other exception: damaged files make decoders raise exceptions of almost every kind.
    except Exception as error:
        raise DataError(f"{subject} cannot be read ({_reason(error)}); give a complete picture file.") from error


def _subject(source: PictureFile) -> str:
    """Return the subject of messages."""
    if isinstance(source, memoryview):
        return "A picture from a memoryview"  # which may be released, so that its size is unknown
    if isinstance(source, bytes | bytearray):
        return f"A picture of {len(source):,} bytes"
    if isinstance(source, str | os.PathLike):
        return _named(os.fsdecode(source))
    name = getattr(source, "name", None)
    return _named(name) if isinstance(name, str) else f"A picture from a {type(source).__name__}"


def _named(path: str) -> str:
    # A message is one line, whatever a file is called.
    return "Picture '{}'".format(path.replace("\n", "\\n").replace("\r", "\\r"))


def _readable(source: PictureFile, subject: str) -> Path | IO[bytes]:
    """Return what `Image.open` takes. A path must be a regular file: pipes may block forever and devices never end."""
    if isinstance(source, bytes | bytearray | memoryview):
        try:
            return io.BytesIO(bytes(source))
        except ValueError as error:
            raise DataError(f"{subject} cannot be read ({_reason(error)}); give one that is still open.") from error
    if not isinstance(source, str | os.PathLike):
        if isinstance(source, io.TextIOBase):
            raise DataError(f"{subject} is open as text; open it with mode 'rb'.")
        return source
    path = Path(os.fsdecode(source))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{subject} does not exist; check the path.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{subject} cannot be read ({_reason(error)}); check the path.") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{subject} cannot be read (it is a folder); give picture files.")
    if not stat.S_ISREG(mode):
        raise DataError(f"{subject} cannot be read (it is a pipe, socket or device); give a regular file.")
    return path


def _check(picture: Image.Image, subject: str) -> None:
    """Refuse a picture before its pixels are decoded."""
    if picture.format in NO_PICTURES:
        raise DataError(f"{subject} is a file of the format {picture.format}, which is not a picture; give a picture.")
    # Pillow only warns up to twice its limit. A filter of warnings would act on all threads, so the size is compared here.
    limit = Image.MAX_IMAGE_PIXELS
    width, height = picture.size
    if limit is not None and width * height > limit:
        raise DataError(
            f"{subject} is too large to be opened safely ({width:,} x {height:,} pixels; the limit is {limit:,} pixels); "
            "scale it down first."
        )


def _unknown(file: Path | IO[bytes], subject: str) -> str:
    """Return the message for contents that are not of a known format."""
    if is_lfs_pointer(file):
        return f"{subject} is a Git LFS pointer and not the picture itself; run `git lfs pull` to get it."
    try:
        size = file.stat().st_size if isinstance(file, Path) else file.seek(0, io.SEEK_END)
    except (OSError, ValueError, AttributeError):  # an object that has `read` alone
        size = None
    reason = "it is empty" if size == 0 else "unknown picture format"
    return f"{subject} cannot be read ({reason}); give a complete picture file."


def _reason(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, and turn it as EXIF says. The picture itself is not changed.

    Transparent parts become white. Grey of 16 or 32 bits, and of floats, is scaled to 8 bits: white is 65535 for integers, and 1
    for floats (255 if a value exceeds 1).

    Raises:
        DataError: the picture has no pixels; or its file, which Pillow reads only now, is damaged or closed.
    """
    try:
        return _rgb(picture)
    except DataError:
        raise
    except Exception as error:
        reason = _reason(error)
        raise DataError(
            f"A picture cannot be read ({reason}); check that its file is complete and not closed."
        ) from error


def _rgb(picture: Image.Image) -> Image.Image:
    if 0 in picture.size:
        raise DataError(f"A picture has the size {picture.size}, so it has no pixels; give another one.")
    picture.load()
    picture = _upright(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        result = _from_deep_grey(picture)
    elif picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        result = _on_white(picture)
    else:
        result = picture.convert("RGB")
    # The copy has EXIF, too. Whoever reads the result again would turn it again.
    result.info.clear()
    return result


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as EXIF says. `ImageOps.exif_transpose` would also rewrite the other tags, and fail if one is wrong."""
    try:
        method = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF that cannot be read does not say how to turn the picture.
        method = None
    return picture if method is None else picture.transpose(method)


def _on_white(picture: Image.Image) -> Image.Image:
    """Put a picture with transparent parts on white, in strips: each pixel needs 12 bytes meanwhile."""
    width, height = picture.size
    result = Image.new("RGB", picture.size)
    for top in range(0, height, _ROWS):
        layer = picture.crop((0, top, width, min(top + _ROWS, height)))
        # Pillow converts grey with premultiplied transparency only to plain grey with transparency.
        layer = (layer.convert("LA") if layer.mode == "La" else layer).convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        canvas.alpha_composite(layer)
        result.paste(canvas.convert("RGB"), (0, top))
    return result


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """Scale grey to 8 bits, in strips: each pixel needs 16 bytes meanwhile."""
    values = np.asarray(picture)
    top = 65535.0 if picture.mode != "F" else 255.0 if (values > 1.0).any() else 1.0
    grey = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), _ROWS):
        part = np.nan_to_num(values[start : start + _ROWS].astype(np.float64))
        grey[start : start + _ROWS] = np.clip(np.rint(part * (255.0 / top)), 0, 255)
    return Image.fromarray(grey).convert("RGB")
