"""Read task files for `tina generate --tasks`.

    {"tasks": [{"classes": ["apple", "bus=bus+@pictures/bus",
                            {"label": "elephant", "texts": ["a large grey animal"], "images": ["pictures/elephant"]}]}]}

A class is a string in the notation of `tina_framework.prompts.notation`, or an object with a label and texts, images or both.
Paths are relative to the task file. Evaluation reads task files of plain names with `tina_framework.zoo.tasks`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, DataError, PromptError, shorten
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt
from tina_framework.prompts.limits import MAX_TASKS, check_class_count, check_task_count
from tina_framework.prompts.notation import read_class
from tina_framework.storage.files import read_json
from tina_framework.storage.paths import user_path
from tina_framework.storage.text import MAX_TASK_FILE_BYTES

__all__ = ["load_prompt_tasks"]

_KEYS = frozenset({"label", "texts", "images"})
_MAX_OBJECTS = 20 * MAX_TASKS
_FORM = '{"tasks": [{"classes": ["apple", "bus=bus+@pictures/bus"]}]}'


def load_prompt_tasks(
    path: Path | str, known_names: Collection[str] = (), most: int | None = None
) -> list[list[str | ClassPrompt]]:
    """Return the tasks of a file, with their pictures.

    Equal entries give the same `ClassPrompt` object, so that pictures are read and encoded once.

    Args:
        path: the JSON file.
        known_names: as in `tina_framework.prompts.notation.parse_notation`.
        most: the most classes of a task; None: `tina_framework.prompts.limits.MAX_CLASSES`.

    Raises:
        DataError: the file is missing, too large or malformed, or a picture cannot be read.
        PromptError: there are too many tasks or classes; a class cannot be read, or occurs twice in a task; or a folder has no
            picture or too many.
    """
    path = user_path(path)
    try:
        value = read_json(path, MAX_TASK_FILE_BYTES, _MAX_OBJECTS)
    except CheckpointError as error:
        raise DataError(f"Task file {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise DataError(f"Task file '{path}' has no list under the key 'tasks'; expected {_FORM}.")
    if not value["tasks"]:
        raise DataError(f"Task file '{path}' has no task; add at least one.")
    check_task_count(len(value["tasks"]))
    read: dict[str, str | ClassPrompt] = {}
    tasks = []
    for number, entry in enumerate(value["tasks"]):
        where = f"Task file '{path}', task {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("classes"), list):
            raise DataError(f"{where}: expected an object with a list under the key 'classes', got {shorten(entry)}.")
        if len(entry["classes"]) < 2:
            raise DataError(f"{where}: a task needs at least two classes; got {shorten(entry['classes'])}.")
        try:
            check_class_count(len(entry["classes"]), most)
            classes = [_class(written, path.parent, read, known_names) for written in entry["classes"]]
            _check_labels(classes)
        except (DataError, PromptError) as error:
            raise type(error)(f"{where}: {error}") from error
        tasks.append(classes)
    return tasks


def _check_labels(classes: Sequence[str | ClassPrompt]) -> None:
    """Refuse equal labels here, where the message can state the task's number. `encode_tasks` finds synonyms later."""
    seen: set[str] = set()
    for position, value in enumerate(classes):
        label = as_prompt(value, position).label
        if fold(label) in seen:
            raise PromptError(f"the class {shorten(label)} occurs twice; every class may occur once.")
        seen.add(fold(label))


def _class(
    written: Any, folder: Path, read: dict[str, str | ClassPrompt], known_names: Collection[str]
) -> str | ClassPrompt:
    # Lists and dicts cannot be keys of a dict, but their text can.
    key = repr(written)
    if key not in read:
        if isinstance(written, str):
            read[key] = read_class(written, folder, known_names)
        elif isinstance(written, dict):
            read[key] = _from_object(written, folder)
        else:
            raise DataError(
                f"the class {shorten(written)} is neither a string nor an object with a label; write one of these."
            )
    return read[key]


def _from_object(written: dict[str, Any], folder: Path) -> ClassPrompt:
    unknown = sorted(set(written) - _KEYS)
    if unknown:
        raise DataError(
            f"the class {shorten(written)} has the unknown key {shorten(unknown[0])}; use label, texts and images."
        )
    label = written.get("label")
    if not isinstance(label, str) or not label.strip():
        raise DataError(
            f"the class {shorten(written)} has no label, or one that is not a string; add the answer of the classifier."
        )
    texts, images = (_strings(written, key) for key in ("texts", "images"))
    if not texts and not images:
        texts = [label]
    pictures: ClassPrompt = ClassPrompt(label.strip())
    if images:
        from tina_framework.prompts.pictures import read_pictures

        pictures = ClassPrompt(label.strip(), images=read_pictures([folder / user_path(image) for image in images]))
    return ClassPrompt(label.strip(), tuple(texts)) + pictures


def _strings(written: dict[str, Any], key: str) -> list[str]:
    """Return a list of strings. A single string needs no list around it."""
    value = written.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) and text.strip() for text in values):
        raise DataError(
            f"the class {shorten(written)} has {key} {shorten(value)}; expected a list of strings that are not empty."
        )
    return values
