"""The same files, classes and splits count everywhere."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from tina_framework.errors import DataError
from tina_framework.images import class_folders, picture_files, split_folders, split_of


def make(root: Path, *paths: str) -> None:
    """Make empty files, and a folder for each path that ends with a slash."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            (root / path).mkdir(exist_ok=True)
        else:
            (root / path).touch()


def names(folder: Path) -> list[str]:
    return [path.name for path in picture_files(folder)]


def test_extensions_of_pictures_count_in_any_case(tmp_path: Path) -> None:
    good = [
        "a.JPG",
        "b.Png",
        "c.jfif",
        "d.avif",
        "e.webp",
        "f.TIFF",
        "g.gif",
        "h.bmp",
        "i.jp2",
        "j.mpo",
        "k.jpe",
        "l\nm.png",
    ]
    make(
        tmp_path, *good, "x.pdf", "x.h5", "x.eps", "x.ps", "x.mpg", "x.wmf", "x.grib", "x.txt", "x.py", "x", "x.png.bak"
    )
    assert names(tmp_path) == sorted(good)


def test_hidden_files_litter_and_folders_do_not_count(tmp_path: Path) -> None:
    make(tmp_path, "a.png", ".b.png", "._a.png", "Thumbs.db", "desktop.ini", ".DS_Store", "crop.png/", "@eaDir/x.png")
    assert names(tmp_path) == ["a.png"]


def test_links_and_special_files_are_kept_so_that_reading_complains(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "inside/")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "linked.png").symlink_to("a.png")
    (tmp_path / "folder.png").symlink_to("inside")
    os.mkfifo(tmp_path / "pipe.png")
    assert names(tmp_path) == ["a.png", "gone.png", "linked.png", "loop.png", "pipe.png"]


def test_a_format_that_is_added_to_pillow_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.xyz")
    assert names(tmp_path) == []
    monkeypatch.setitem(Image.EXTENSION, ".xyz", "PNG")
    assert names(tmp_path) == ["a.xyz"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"absent' cannot be read \(No such file"):
        picture_files(tmp_path / "absent")

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    for function in (picture_files, class_folders, split_folders):
        with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
            function(tmp_path)


def test_folders_of_systems_are_not_classes(tmp_path: Path) -> None:
    make(tmp_path, "bus/", "Apple/", "notes.txt", ".git/", ".ipynb_checkpoints/", "__MACOSX/", "@eaDir/", "#recycle/")
    make(tmp_path, "$RECYCLE.BIN/", "System Volume Information/", "lost+found/", "__pycache__/", ".hidden/")
    assert class_folders(tmp_path) == [("Apple", tmp_path / "Apple"), ("bus", tmp_path / "bus")]
    (tmp_path / "again").symlink_to(tmp_path)  # a loop does no harm
    assert [name for name, _ in class_folders(tmp_path, key=str.lower)] == ["again", "Apple", "bus"]


def test_class_names_are_composed(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "caf\u00e9")
    make(tmp_path, f"{apart}/", "tea/")
    assert class_folders(tmp_path) == [("caf\u00e9", tmp_path / apart), ("tea", tmp_path / "tea")]
    make(tmp_path, "caf\u00e9/")
    with pytest.raises(DataError, match=r"'cafe\\u0301' and 'caf\\xe9' in .* are the same class 'caf\u00e9'"):
        class_folders(tmp_path)


def test_two_folders_of_one_class(tmp_path: Path) -> None:
    make(tmp_path, "Bus/", "bus/")
    assert len(class_folders(tmp_path)) == 2
    with pytest.raises(DataError, match=r"'Bus' and 'bus' in .* are the same class 'bus'"):
        class_folders(tmp_path, key=str.lower)


@pytest.mark.parametrize(
    "name", ["a\x1b[31mred", "a\x07b", "\x7f", "\u202eabc", "\u200b", "a" * 201, os.fsdecode(b"\xff")]
)
def test_names_that_no_class_may_have(tmp_path: Path, name: str) -> None:
    make(tmp_path, f"{name}/")
    with pytest.raises(DataError, match="cannot name a class") as caught:
        class_folders(tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("Training", "train"), ("VAL", "validation"), ("valid", "validation"), ("Dev", "validation"),
        ("validation", "validation"), ("test", "test"), ("testing", "test"), ("Eval", "test"), ("apple", None), ("trainer", None),
    ],
)  # fmt: skip
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_splits_by_synonym(tmp_path: Path) -> None:
    make(tmp_path, "Training/a/", "val/a/", "EVAL/a/", "README.md", "__MACOSX/x/", ".git/x/")
    assert split_folders(tmp_path) == {
        "train": tmp_path / "Training",
        "validation": tmp_path / "val",
        "test": tmp_path / "EVAL",
    }


def test_class_folders_are_not_splits(tmp_path: Path) -> None:
    make(tmp_path, "train/0.png", "test/0.png", "train/crop.png/", "apple/0.png")
    assert split_folders(tmp_path) == {}
    make(tmp_path / "empty", "train/", "test/")
    assert split_folders(tmp_path / "empty") == {}


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (["train/a/", "extra/a/"], "extra' lies beside folders of splits but is not a split"),
        (["train/a/", "val/a/", "validation/a/"], "val' and '.*validation' are both the split 'validation'"),
        (["train/a/", "Train/a/"], "Train' and '.*train' are both the split 'train'"),
        (["val/a/", "test/a/"], "has the splits test, validation but no folder 'train'"),
        (["train/a/", "test/0.png"], "test' is a split, but it holds no class folders"),
        (["train/a/", "test/"], "test' is a split, but it holds no class folders"),
    ],
)
def test_wrong_splits(tmp_path: Path, paths: list[str], sentence: str) -> None:
    make(tmp_path, *paths)
    with pytest.raises(DataError, match=sentence):
        split_folders(tmp_path)
