"""Test how pictures of a class are read."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.errors import DataError, PromptError
from tina_framework.images import pictures as image_pixels
from tina_framework.prompts import pictures
from tina_framework.prompts.pictures import read_pictures


def _names(folder: Path) -> list[tuple[int, ...]]:
    return [tuple(np.asarray(picture)[0, 0]) for picture in read_pictures(folder)]


def test_a_folder_is_read_in_order_and_other_files_are_ignored(tmp_path: Path) -> None:
    for name, colour in (("b.png", (0, 0, 9)), ("a.bmp", (9, 0, 0)), ("c.PNG", (0, 9, 0))):
        Image.new("RGB", (2, 2), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_bytes(b"what some systems leave beside a picture")
    assert _names(tmp_path) == [(9, 0, 0), (0, 0, 9), (0, 9, 0)]


def test_files_and_pictures_may_be_mixed(picture_folder: Path) -> None:
    found = read_pictures([picture_folder / "bus", Image.new("LA", (3, 3)), str(picture_folder / "a.png")])
    assert len(found) == 5
    assert all(picture.mode == "RGB" for picture in found)


def test_pictures_from_memory(picture_folder: Path) -> None:
    content = (picture_folder / "a.png").read_bytes()
    array = np.asarray(Image.open(picture_folder / "a.png").convert("RGB"))
    for given in (
        content,
        io.BytesIO(content),
        [content],
        array,
        array[None],
        iter([array]),
        picture_folder.glob("a.png"),
    ):
        [found] = read_pictures(given)
        np.testing.assert_array_equal(np.asarray(found), array)


def test_only_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    wide = Image.new("RGB", (1792, 896), "red")
    wide.save(tmp_path / "wide.png")
    assert [picture.size for picture in read_pictures([wide, tmp_path / "wide.png"])] == [(896, 448)] * 2
    small = Image.new("RGB", (2000, 448))
    assert read_pictures(small)[0].size == (2000, 448)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "list of pictures of a class is empty"),
        ([3], "has the type int"),
        (7, "given as int; give paths"),
        ({"a.png"}, "has no order"),
    ],
)
def test_other_values_are_refused(given: Any, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        read_pictures(given)


def test_too_many_pictures_are_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(path: Path) -> Image.Image:
        raise AssertionError(f"{path} was read")

    for number in range(pictures.MAX_PICTURES + 1):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr(pictures, "as_picture", never)
    with pytest.raises(PromptError, match=r"has 1,001 pictures, but at most 1,000 are allowed for one class"):
        read_pictures(tmp_path)
    with pytest.raises(PromptError, match=r"A class has more than 1,000 pictures, which is the limit"):
        read_pictures(sorted(tmp_path.iterdir()))
    with pytest.raises(PromptError, match="more than 1,000 pictures"):
        read_pictures(itertools.repeat("a.png"))


def _huge_png(width: int, height: int) -> bytes:
    """A PNG header with a given size and without pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def test_damaged_and_huge_files_are_refused(picture_folder: Path) -> None:
    (picture_folder / "huge.png").write_bytes(_huge_png(20000, 20000))
    whole = (picture_folder / "a.png").read_bytes()
    (picture_folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (picture_folder / "text.png").write_text("no picture")
    for name, sentence in (
        ("huge.png", "too large to be opened safely"),
        ("half.png", "cannot be read"),
        ("text.png", "unknown picture format"),
        ("none.png", "does not exist"),
    ):
        with pytest.raises(DataError, match=sentence):
            read_pictures(picture_folder / name)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"has no picture .*; add some or give another"):
        read_pictures(tmp_path)
    (tmp_path / "bus").mkdir()
    (tmp_path / "@eaDir").mkdir()
    with pytest.raises(PromptError, match=r"; give one of its folders, such as '.*bus'"):
        read_pictures(tmp_path)


def test_pictures_without_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no pixels"):
        read_pictures(Image.new("RGB", (0, 5)))
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(whole)
    cut.write_bytes(whole.read_bytes()[:300])
    with Image.open(cut) as lazy, pytest.raises(DataError, match="cannot be read"):
        read_pictures(lazy)
    with pytest.raises(DataError, match="File name too long"):
        read_pictures("x" * 5000)


def test_a_photo_that_lies_on_its_side_is_encoded_upright(tmp_path: Path) -> None:
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    read = read_pictures(tmp_path / "a.png")
    # Encoders prepare the pictures once more.
    np.testing.assert_array_equal(image_pixels(read, (32, 32))[0], np.asarray(upright))
