"""Task files whose classes may be more than names.

    {"tasks": [{"classes": ["apple", "bus=bus+@pictures/bus",
                            {"label": "elephant", "texts": ["a large grey animal"], "images": ["pictures/elephant"]}]}]}

A class is a line as `tina_framework.prompts.notation` reads it, or an object with a label and texts, images or both. Paths are
relative to the task file. Files of names alone are those of `tina_framework.zoo.tasks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, DataError, PromptError
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt
from tina_framework.prompts.notation import read_class
from tina_framework.prompts.spelling import fold
from tina_framework.storage.files import home_path, read_json

__all__ = ["load_prompt_tasks"]

_KEYS = frozenset({"label", "texts", "images"})
_FORM = '{"tasks": [{"classes": ["apple", "bus=bus+@pictures/bus"]}]}'


def load_prompt_tasks(path: Path | str) -> list[list[str | ClassPrompt]]:
    """The tasks of a file, pictures read; the same line gives the same prompt, so that its pictures are read and encoded once.

    Raises:
        DataError: the file is missing or malformed, or a picture cannot be read.
        PromptError: a class is written wrongly, or twice; or a folder holds no picture or too many.
    """
    path = Path(path)
    try:
        value = read_json(path)
    except CheckpointError as error:
        raise DataError(f"Task file {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise DataError(f"Task file '{path}' has no list under the key 'tasks'; expected {_FORM}.")
    if not value["tasks"]:
        raise DataError(f"Task file '{path}' holds no task; add at least one.")
    read: dict[str, str | ClassPrompt] = {}
    tasks = []
    for number, entry in enumerate(value["tasks"]):
        where = f"Task file '{path}', task {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("classes"), list):
            raise DataError(f"{where}: expected an object with a list under the key 'classes', got {_short(entry)}.")
        if len(entry["classes"]) < 2:
            raise DataError(f"{where}: a task needs at least two classes; got {_short(entry['classes'])}.")
        try:
            classes = [_class(written, path.parent, read) for written in entry["classes"]]
            _check_labels(classes)
        except (DataError, PromptError) as error:
            raise type(error)(f"{where}: {error}") from error
        tasks.append(classes)
    return tasks


def _check_labels(classes: Sequence[str | ClassPrompt]) -> None:
    """Here, where the task's number is known; what means the same in other words is found when the task is resolved."""
    seen: set[str] = set()
    for position, value in enumerate(classes):
        label = as_prompt(value, position).label
        if fold(label) in seen:
            raise PromptError(f"the class '{label}' is there twice; every class may appear once.")
        seen.add(fold(label))


def _class(written: Any, folder: Path, read: dict[str, str | ClassPrompt]) -> str | ClassPrompt:
    key = repr(written)
    if key not in read:
        if isinstance(written, str):
            read[key] = read_class(written, folder)
        elif isinstance(written, dict):
            read[key] = _from_object(written, folder)
        else:
            raise DataError(f"the class {key} is neither a string nor an object with a label; write one of the two.")
    return read[key]


def _from_object(written: dict[str, Any], folder: Path) -> ClassPrompt:
    unknown = sorted(set(written) - _KEYS)
    if unknown:
        raise DataError(
            f"the class {_short(written)} has the unknown key '{unknown[0]}'; known are label, texts, images."
        )
    label = written.get("label")
    if not isinstance(label, str) or not label.strip():
        raise DataError(
            f"the class {_short(written)} has no label that is a text; give it one, which the classifier answers."
        )
    texts, images = (_strings(written, key) for key in ("texts", "images"))
    if not texts and not images:
        texts = [label]
    pictures: ClassPrompt = ClassPrompt(label.strip())
    if images:
        from tina_framework.prompts.pictures import read_pictures

        pictures = ClassPrompt(label.strip(), images=read_pictures([folder / home_path(image) for image in images]))
    return ClassPrompt(label.strip(), tuple(texts)) + pictures


def _strings(written: dict[str, Any], key: str) -> list[str]:
    """A list of texts; one text may stand without its list."""
    value = written.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) and text.strip() for text in values):
        raise DataError(f"the class {_short(written)} has {key} {_short(value)}; expected a list of texts.")
    return values


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
