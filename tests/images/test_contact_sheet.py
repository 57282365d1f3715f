"""Contact sheets: what they show, what they cut, and what they must not replace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from tina_framework.errors import ConfigError, DataError
from tina_framework.images import MOST_CELLS, SheetCell, check_sheet_path, read_picture, write_contact_sheet
from tina_framework.images.contact_sheet import _RIGHT, _UNKNOWN, _WRONG


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (90, 40), "blue").save(path)
    return path


def colors(path: Path) -> set[str]:
    found = read_picture(path).getcolors(1 << 24) or []
    return {"#{:02x}{:02x}{:02x}".format(*color) for _, color in found}


def test_a_row_has_five_pictures(picture: Path, tmp_path: Path) -> None:
    sizes = []
    for count in (1, 5, 6, 10):
        assert write_contact_sheet(tmp_path / "sheet.png", [SheetCell(picture, "ant")] * count) == count
        sizes.append(read_picture(tmp_path / "sheet.png").size)
    assert sizes[0][0] < sizes[1][0] == sizes[2][0] == sizes[3][0]
    assert sizes[0][1] == sizes[1][1] < sizes[2][1] == sizes[3][1]


@pytest.mark.parametrize(
    ("truth", "present", "absent"),
    [("ant", _RIGHT, _WRONG), ("bee", _WRONG, _RIGHT), (None, _UNKNOWN, _RIGHT)],
)
def test_the_frame_tells_right_from_wrong(
    picture: Path, tmp_path: Path, truth: str | None, present: str, absent: str
) -> None:
    write_contact_sheet(tmp_path / "sheet.png", [SheetCell(picture, "ant", truth, 0.5)])
    found = colors(tmp_path / "sheet.png")
    assert present in found
    assert absent not in found
    assert "#0000ff" in found, "the picture itself"


def test_the_ending_decides_the_format(picture: Path, tmp_path: Path) -> None:
    for name, kind in (("s.png", "PNG"), ("s.JPG", "JPEG"), ("s.jpeg", "JPEG")):
        check_sheet_path(tmp_path / name, [picture])
        write_contact_sheet(tmp_path / name, [SheetCell(picture, "ant")])
        with Image.open(tmp_path / name) as sheet:
            assert sheet.format == kind


ODD_NAMES = ["苹果 яблоко תפוח", "two\nlines\tand more", "half \udcff a pair", "x" * 100_000, "👩‍🚀", ""]


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_any_name_is_drawn_in_one_line_of_its_cell(picture: Path, tmp_path: Path, name: str) -> None:
    plain, odd = tmp_path / "plain.png", tmp_path / "odd.png"
    write_contact_sheet(plain, [SheetCell(picture, "ant", "ant", 0.5), SheetCell(picture, "ant", "ant", 0.5)])
    write_contact_sheet(odd, [SheetCell(picture, name, name, 0.5), SheetCell(picture, "ant", "ant", 0.5)])
    first, second = read_picture(plain), read_picture(odd)
    assert first.size == second.size
    half = (first.width // 2, 0, first.width, first.height)
    assert first.crop(half).tobytes() == second.crop(half).tobytes(), "the next cell is as before"


def test_long_names_keep_the_probability() -> None:
    from PIL import ImageFont

    from tina_framework.images.contact_sheet import _line

    font = ImageFont.load_default(size=15)
    line = _line("answer: ", "a very long name of a class that nobody can read here", ", 99 %", font)
    assert line.startswith("answer: a very long")
    assert line.endswith("..., 99 %")
    assert font.getlength(line) <= 226


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (32, 32)])
def test_pictures_of_any_shape_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "blue").save(tmp_path / "odd.png")
    write_contact_sheet(tmp_path / "sheet.png", [SheetCell(tmp_path / "odd.png", "ant")])
    assert read_picture(tmp_path / "sheet.png").width < 300


def test_only_the_first_pictures_are_shown(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 100 <= MOST_CELLS <= 1000
    monkeypatch.setattr("tina_framework.images.contact_sheet.MOST_CELLS", 7)
    assert write_contact_sheet(tmp_path / "sheet.png", [SheetCell(picture, "ant")] * 8) == 7


def test_a_picture_that_cannot_be_read_leaves_the_old_sheet(picture: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    write_contact_sheet(sheet, [SheetCell(picture, "ant")])
    before = sheet.read_bytes()
    with pytest.raises(DataError, match="does not exist"):
        write_contact_sheet(sheet, [SheetCell(tmp_path / "gone.png", "ant")])
    assert sheet.read_bytes() == before


def test_refused_paths(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'sheet\.gif' has no known format; let its name end in"):
        check_sheet_path(Path("sheet.gif"), [])
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        check_sheet_path(tmp_path / "folder.png", [])
    with pytest.raises(ConfigError, match="would replace one of the pictures"):
        check_sheet_path(picture, [tmp_path / "gone.png", picture])
    if sys.platform != "win32":
        (tmp_path / "link.png").symlink_to(picture)
        with pytest.raises(ConfigError, match="would replace one of the pictures"):
            check_sheet_path(tmp_path / "link.png", [picture])
