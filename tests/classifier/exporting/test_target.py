"""Exports replace earlier exports and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tina_framework.classifier.exporting.target import MARK, check_target, default_path, place
from tina_framework.errors import ConfigError

FILE: Any = SimpleNamespace(suffix=".bin")
FOLDER: Any = SimpleNamespace(suffix="")


def made_folder(parent: Path, text: str = "x") -> Path:
    folder = parent / "made"
    folder.mkdir()
    (folder / "model.c").write_text(text)
    return folder


def test_the_default_is_named_after_the_classifier() -> None:
    assert default_path(Path("some/pets"), FILE, "bin") == Path("pets.bin")
    assert default_path(Path("some/pets"), FOLDER, "c") == Path("pets-c")


def test_the_current_folder_and_the_one_above_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets" / "out").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "pets" / "out")
    assert default_path(Path(), FILE, "bin") == Path("out.bin")
    assert default_path(Path(".."), FOLDER, "c") == Path("pets-c")
    assert default_path(Path("/"), FOLDER, "c") == Path("classifier-c")


def test_a_file_needs_the_suffix_of_its_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not end in \.bin; name a file such as .*pets\.bin"):
        check_target(tmp_path / "pets.txt", FILE, "bin")
    with pytest.raises(ConfigError, match="is a folder; format 'bin' writes a file"):
        check_target(tmp_path, FILE, "bin")


def test_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "pets.bin").write_text("old")
    (tmp_path / "new.bin").write_text("new")
    place(tmp_path / "new.bin", tmp_path / "pets.bin", FILE, "bin")
    assert (tmp_path / "pets.bin").read_text() == "new"


def test_a_folder_is_replaced_by_another_export(tmp_path: Path) -> None:
    place(made_folder(tmp_path), tmp_path / "pets", FOLDER, "c")
    assert {entry.name for entry in (tmp_path / "pets").iterdir()} == {MARK, "model.c"}
    place(made_folder(tmp_path, "y"), tmp_path / "pets", FOLDER, "c")
    assert (tmp_path / "pets" / "model.c").read_text() == "y"


@pytest.mark.parametrize("mark", ["", "[]", '{"format": "other", "files": []}', '{"format": "tina-export"}'])
def test_a_folder_with_anything_else_is_kept(tmp_path: Path, mark: str) -> None:
    place(made_folder(tmp_path), tmp_path / "pets", FOLDER, "c")
    if mark:
        (tmp_path / "pets" / MARK).write_text(mark)
    else:
        (tmp_path / "pets" / "my-notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a 'c' export folder"):
        check_target(tmp_path / "pets", FOLDER, "c")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (".bin", "is only a suffix; name a file such as 'model.bin'"),
        ("a" * 300 + ".bin", r"cannot be written \(File name too long\)"),
        ("a\0.bin", r"cannot be written \(it has a zero byte\)"),
    ],
)
def test_names_that_no_file_can_have(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_target(tmp_path / name, FILE, "bin")


def test_a_pipe_is_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pets.bin")
    with pytest.raises(ConfigError, match="is a device or a pipe"):
        check_target(tmp_path / "pets.bin", FILE, "bin")


def test_files_in_a_deeper_folder_are_kept(tmp_path: Path) -> None:
    folder = made_folder(tmp_path)
    (folder / "runtime").mkdir()
    (folder / "runtime" / "ort.js").write_text("x")
    place(folder, tmp_path / "pets", FOLDER, "web")
    check_target(tmp_path / "pets", FOLDER, "web")
    (tmp_path / "pets" / "runtime" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files besides"):
        check_target(tmp_path / "pets", FOLDER, "web")
