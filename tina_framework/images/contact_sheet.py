"""Contact sheets: one picture file that shows many pictures, each with its name, its true class and a classifier's answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tina_framework.errors import ConfigError
from tina_framework.images.reader import read_picture
from tina_framework.storage.files import replacing

__all__ = ["MOST_CELLS", "SheetCell", "check_sheet_path", "write_contact_sheet"]

MOST_CELLS = 300
"""A sheet of more pictures would take too much memory, and nobody would look through it."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_COLUMNS = 5
_WIDTH, _HEIGHT = 220, 165
"""The space for one picture, in pixels."""

_MARGIN = 14
_FRAME = 3
_LINE = 19
_FONT_SIZE = 15
_BACKGROUND, _TEXT, _PALE = "#ffffff", "#202124", "#70757a"
_RIGHT, _WRONG, _UNKNOWN = "#137333", "#c5221f", "#dadce0"
_CUT = "..."


@dataclass(frozen=True)
class SheetCell:
    """One picture and its caption.

    Attributes:
        path: the picture file.
        answer: what the classifier says.
        truth: the true class, if it is known. An equal `answer` is marked as right, another as wrong.
        probability: of the answer, from 0 to 1; None: it is not shown.
    """

    path: Path
    answer: str
    truth: str | None = None
    probability: float | None = None


def check_sheet_path(path: Path, pictures: Iterable[Path]) -> None:
    """Check that a contact sheet can be written to `path`, before any work is done.

    Args:
        path: the file to write.
        pictures: the files that the sheet shows.

    Raises:
        ConfigError: the name does not end in .png or .jpg, the path is a folder, or writing would replace one of the pictures.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"The contact sheet '{path}' has no known format; let its name end in .png or .jpg.")
    if path.is_dir():
        raise ConfigError(f"The contact sheet '{path}' is a folder; give a file name.")
    if path.exists() and any(picture.exists() and path.samefile(picture) for picture in pictures):
        raise ConfigError(f"The contact sheet '{path}' would replace one of the pictures; give another name.")


def write_contact_sheet(path: Path, cells: Sequence[SheetCell]) -> int:
    """Write a picture file that shows the first `MOST_CELLS` cells in rows of five. A file of that name is replaced.

    Letters that Pillow's own font lacks appear as empty boxes.

    Args:
        path: checked by `check_sheet_path`; its ending decides between PNG and JPEG.
        cells: at least one.

    Returns:
        How many cells the sheet shows.

    Raises:
        DataError: a picture cannot be read.
        ConfigError: the file cannot be written.
    """
    shown = cells[:MOST_CELLS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    labelled = any(cell.truth is not None for cell in shown)
    cell_height = _HEIGHT + 2 * _FRAME + (3 if labelled else 2) * _LINE + 4
    size = (
        _MARGIN + columns * (_WIDTH + 2 * _FRAME + _MARGIN),
        _MARGIN + rows * (cell_height + _MARGIN),
    )
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=_FONT_SIZE)
    for number, cell in enumerate(shown):
        row, column = divmod(number, columns)
        left = _MARGIN + column * (_WIDTH + 2 * _FRAME + _MARGIN)
        top = _MARGIN + row * (cell_height + _MARGIN)
        color = _UNKNOWN if cell.truth is None else _RIGHT if cell.truth == cell.answer else _WRONG
        frame = (left, top, left + _WIDTH + 2 * _FRAME - 1, top + _HEIGHT + 2 * _FRAME - 1)
        draw.rectangle(frame, fill=_BACKGROUND, outline=color, width=_FRAME)
        picture = _fitted(cell.path)
        x = left + _FRAME + (_WIDTH - picture.width) // 2
        sheet.paste(picture, (x, top + _FRAME + (_HEIGHT - picture.height) // 2))
        below = top + _HEIGHT + 2 * _FRAME + 4
        for text, ink in _caption(cell, color, font):
            draw.text((left, below), text, fill=ink, font=font)
            below += _LINE
    try:
        with replacing(path) as temporary:
            sheet.save(temporary, format=_FORMATS[path.suffix.lower()], quality=85, optimize=True)
    except OSError as error:
        raise ConfigError(
            f"The contact sheet '{path}' cannot be written ({error.strerror or error}); choose another place or free some space."
        ) from error
    return len(shown)


def _fitted(path: Path) -> Image.Image:
    """Return the whole picture, as large as its space allows."""
    picture = read_picture(path, (_WIDTH, _HEIGHT))
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    size = (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _caption(cell: SheetCell, color: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[tuple[str, str]]:
    """Return the lines below a picture with their colours."""
    probability = "" if cell.probability is None else f", {100 * cell.probability:.0f} %"
    lines = [(_line("", cell.path.name, "", font), _PALE)]
    if cell.truth is None:
        return [*lines, (_line("answer: ", cell.answer, probability, font), _TEXT)]
    # A word besides the colour, for people who do not see the difference between red and green.
    word = "right: " if cell.truth == cell.answer else "wrong: "
    return [
        *lines,
        (_line("truth: ", cell.truth, "", font), _TEXT),
        (_line(word, cell.answer, probability, font), color),
    ]


def _line(before: str, name: str, after: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return one line of text, with the name cut so that the line fits below the picture."""
    # Line breaks would reach into the next cell, and half a surrogate pair cannot be drawn.
    name = "".join(letter if letter.isprintable() else "?" for letter in name)

    def fits(text: str) -> bool:
        return font.getlength(before + text + after) <= _WIDTH + 2 * _FRAME

    if fits(name):
        return before + name + after
    name = name[:_WIDTH]  # no letter is narrower than a pixel, so longer names need not be measured
    while name and not fits(name + _CUT):
        name = name[:-1]
    return before + name.rstrip() + _CUT + after
