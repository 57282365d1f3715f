"""The pictures that files and folders on the command line stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.cli.picture_arguments import GivenPicture, given_pictures
from tina_framework.errors import DataError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_folders_and_class_folders(tmp_path: Path) -> None:
    touch(tmp_path / "Aquarium_Fish" / "b.jpg", tmp_path / "Aquarium_Fish" / "a.JPG", tmp_path / "x.png")
    touch(tmp_path / "dog" / "d.png", tmp_path / "notes.txt", tmp_path / ".hidden" / "h.png")
    given = given_pictures([Path("single.png"), tmp_path], ["aquarium fish", "bee"])
    fish = tmp_path / "Aquarium_Fish"
    assert given.pictures == [
        GivenPicture(Path("single.png")),
        GivenPicture(tmp_path / "x.png", from_folder=True),
        GivenPicture(fish / "a.JPG", "aquarium fish", from_folder=True),
        GivenPicture(fish / "b.jpg", "aquarium fish", from_folder=True),
        GivenPicture(tmp_path / "dog" / "d.png", outside=True, from_folder=True),
    ]
    assert [picture.labelled for picture in given.pictures] == [False, False, True, True, True]
    assert given.outside() == {"dog": 1}
    assert not given.errors


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "a.png", tmp_path / "bus" / "a.png")
    assert [p.truth for p in given_pictures([tmp_path], ["train", "bus"]).pictures] == ["bus", "train"]


def test_splits_and_double_classes_are_refused(tmp_path: Path) -> None:
    touch(
        tmp_path / "set" / "test" / "bus" / "a.png",
        tmp_path / "two" / "Bus" / "a.png",
        tmp_path / "two" / "bus" / "a.png",
    )
    with pytest.raises(DataError, match=r"give '.*test' itself"):
        given_pictures([tmp_path / "set"], ["bus"])
    given = given_pictures([tmp_path / "two", Path("x.png")], ["bus"])
    assert "are the same class 'bus'" in given.errors[0]
    assert len(given.pictures) == 1
