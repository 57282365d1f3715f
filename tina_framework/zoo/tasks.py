"""Tasks (which classes, in which order) and task files.

A task file is ``{"tasks": [{"classes": ["apple", ...], "split": "unseen-combination"}, ...]}``; ``split`` is optional.
A file is *our own* if it has ``"generator": "tina tasks"``, which `save_tasks` writes. All others are *foreign*.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError, DataError, shorten
from tina_framework.interfaces.class_names import fold, name_fault, normalize_name
from tina_framework.plugin.suggest import closest
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.paths import real_path, user_path
from tina_framework.storage.text import MAX_TASK_FILE_BYTES

__all__ = [
    "GENERATOR",
    "SPLITS",
    "Task",
    "TaskFile",
    "check_task_target",
    "load_task_file",
    "load_tasks",
    "save_tasks",
]

MAX_CLASSES = 10_000
"""Maximum number of classes of a task."""

_MAX_OBJECTS = 200_000
"""Maximum number of JSON objects in a task file. Each task is one object."""

GENERATOR = "tina tasks"
"""The value of ``generator`` in the task files that this package writes."""

SPLITS = (
    "seen",
    "unseen-combination",
    "two-superclasses",
    "ten-superclasses",
    "unseen-classes",
    "two-unseen-classes",
    "validation",
)
"""The split names that this package gives. Foreign task files may use any."""


@dataclass(frozen=True)
class Task:
    """The classes to tell apart. Label i of the task is `classes[i]`.

    Raises:
        DataError: there are fewer than two classes or more than `MAX_CLASSES`; or a name is empty, too long, not printable or
            repeated.
    """

    classes: tuple[str, ...]
    split: str | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"A task needs at least two classes; got {len(self.classes)}: {shorten(list(self.classes))}."
            )
        if len(self.classes) > MAX_CLASSES:
            raise DataError(f"A task has {len(self.classes):,} classes, but at most {MAX_CLASSES:,} are allowed.")
        names = tuple(normalize_name(name) for name in self.classes)
        seen: set[str] = set()
        for name in names:
            if fault := name_fault(name):
                raise DataError(
                    f"A class name {fault}: {shorten(list(names))}. Give every class a short, printable name."
                )
            if fold(name) in seen:
                raise DataError(f"A task names {shorten(name)} twice: {shorten(list(names))}. Remove one of the two.")
            seen.add(fold(name))
        object.__setattr__(self, "classes", names)

    @property
    def class_set(self) -> frozenset[str]:
        return frozenset(self.classes)


@dataclass(frozen=True)
class TaskFile:
    """The tasks of a task file, and whether the file is our own."""

    tasks: tuple[Task, ...]
    own: bool


def save_tasks(path: Path | str, tasks: Sequence[Task]) -> None:
    """Write a task file of our own, atomically."""
    entries = [
        {"classes": list(task.classes)} | ({} if task.split is None else {"split": task.split}) for task in tasks
    ]
    # A link stays a link, as where folders are written.
    write_json(real_path(user_path(path)), {"generator": GENERATOR, "tasks": entries})


def check_task_target(path: Path | str) -> None:
    """Check that a task file may be written: nothing is there, or a task file is replaced.

    Raises:
        ConfigError: something else is there, such as the settings of a zoo.
    """
    path = user_path(path)
    if not path.exists() and not path.is_symlink():
        return
    try:
        value = read_json(path)
    except CheckpointError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise ConfigError(f"'{path}' exists and is not a task file; nothing was changed. Choose another name.")


def load_tasks(path: Path | str, *, class_names: Collection[str] | None = None) -> list[Task]:
    """Return the tasks of a task file; see `load_task_file`."""
    return list(load_task_file(path, class_names=class_names).tasks)


def load_task_file(path: Path | str, *, class_names: Collection[str] | None = None) -> TaskFile:
    """Read and check a task file.

    Args:
        path: the JSON file.
        class_names: the known classes; None: any class name is accepted.

    Raises:
        DataError: the file is missing or malformed, or names an unknown class.
    """
    try:
        value = read_json(user_path(path), MAX_TASK_FILE_BYTES, _MAX_OBJECTS)
    except CheckpointError as error:
        raise DataError(f"Task file {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise DataError(
            f"Task file '{path}' has no list under the key 'tasks'; expected "
            '{"tasks": [{"classes": ["apple", "bear"], "split": "unseen-combination"}]}.'
        )
    if not value["tasks"]:
        raise DataError(f"Task file '{path}' has no tasks; add at least one.")
    known = None if class_names is None else frozenset(class_names)
    tasks = tuple(_parse(entry, f"Task file '{path}', task {i}", known) for i, entry in enumerate(value["tasks"]))
    return TaskFile(tasks, own=value.get("generator") == GENERATOR)


def _parse(entry: Any, where: str, known: frozenset[str] | None) -> Task:
    if not isinstance(entry, dict) or not isinstance(entry.get("classes"), list):
        raise DataError(f"{where}: expected an object with a list under the key 'classes', got {shorten(entry)}.")
    for name in entry["classes"]:
        if not isinstance(name, str):
            raise DataError(f"{where}: the class {shorten(name)} is not a string; class names are strings.")
    split = entry.get("split")
    if split is not None and (not isinstance(split, str) or not split.strip()):
        raise DataError(
            f"{where}: 'split' is {shorten(split)}; expected a name such as 'unseen-combination', or no key."
        )
    try:
        task = Task(tuple(entry["classes"]), split)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    for name in task.classes if known is not None else ():
        if known is not None and name not in known:
            close = closest(name.lower().replace("_", " "), sorted(known))
            hint = f"did you mean '{close[0]}'?" if close else f"known are {shorten(sorted(known))}."
            raise DataError(f"{where}: the data set has no class {shorten(name)}; {hint}")
    return task
