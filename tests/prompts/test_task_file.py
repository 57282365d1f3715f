"""Test the reading of task files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import DataError, PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.task_file import load_prompt_tasks


def _write(folder: Path, *tasks: Any) -> Path:
    (folder / "tasks.json").write_text(json.dumps({"tasks": [{"classes": classes} for classes in tasks]}))
    return folder / "tasks.json"


def test_names_stay_strings(tmp_path: Path) -> None:
    tasks = [["ant", "bee"], ["a large, grey animal", "ant", "x = y"]]
    assert load_prompt_tasks(_write(tmp_path, *tasks)) == tasks


def test_lines_and_objects_are_read_relative_to_the_file(picture_folder: Path) -> None:
    elephant = {"label": "elephant", "texts": ["a large grey animal", "it has a trunk"], "images": "a.png"}
    path = _write(picture_folder, ["ant", "bus=bus+@bus", elephant], ["ant", "bus=bus+@bus", {"label": "bee"}])
    first, second = load_prompt_tasks(path)
    assert first[0] == "ant"
    read = first[2]
    assert isinstance(read, ClassPrompt)
    assert (read.label, read.texts, len(read.images)) == ("elephant", tuple(elephant["texts"]), 1)
    assert isinstance(first[1], ClassPrompt)
    assert len(first[1].images) == 3
    assert first[1] is second[1], "the same line is read once"
    assert isinstance(second[2], ClassPrompt)
    assert second[2].texts == ("bee",)


@pytest.mark.parametrize(
    ("classes", "error", "sentence"),
    [
        (["ant"], DataError, r"task 1: a task needs at least two classes"),
        ("ant", DataError, r"task 1: expected an object with a list"),
        (["ant", 3], DataError, r"task 1: the class 3 is neither a string nor an object"),
        (["ant", {"texts": ["x"]}], DataError, r"task 1: the class .* has no label"),
        (["ant", {"label": "x", "text": "y"}], DataError, r"unknown key 'text'; use label, texts and images"),
        (["ant", {"label": "x", "texts": [""]}], DataError, r"has texts \[''\]; expected a list of strings"),
        (["ant", {"label": "x", "images": 3}], DataError, r"has images 3; expected a list of strings"),
        (["ant", "bus=@none"], DataError, r"task 1: Picture '.*none' of the class 'bus=@none' does not exist"),
        (["ant", {"label": "x", "images": ["none.png"]}], DataError, r"task 1: Picture .*none.png' does not exist"),
        (["ant", "bee", "Ant"], PromptError, r"task 1: the class 'Ant' occurs twice"),
        (["ant", "bus="], PromptError, r"task 1: 'bus=' has nothing"),
    ],
)
def test_refusals_name_the_task(tmp_path: Path, classes: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        load_prompt_tasks(_write(tmp_path, ["ant", "bee"], classes))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "cannot be read as JSON"), ("[]", "no list under the key 'tasks'"), ('{"tasks": []}', "has no task")],
)
def test_other_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(DataError, match=sentence):
        load_prompt_tasks(tmp_path / "tasks.json")
    with pytest.raises(DataError, match=r"absent.json' does not exist"):
        load_prompt_tasks(tmp_path / "absent.json")
