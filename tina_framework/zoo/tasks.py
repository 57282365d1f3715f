"""Tasks (which classes, in which order), the rule that reserves class sets for evaluation, and task files.

The rule: a class set is hashed, ``int(sha256("\\n".join(sorted(names))), 16) % 20``; 0, 1 and 2 are reserved for testing,
3 for validation, the rest may be trained on. It needs no list of reserved tasks, so "unseen combination" stays true
for every class count, however many tasks training draws.

A task file is ``{"tasks": [{"classes": ["apple", ...], "split": "unseen-combination"}, ...]}``; ``split`` is optional.
A file is *our own* when it carries ``"generator": "tina tasks"``, which `save_tasks` writes.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, DataError, LeakageError
from tina_framework.files import read_json, write_json

__all__ = [
    "GENERATOR",
    "NUM_UNSEEN",
    "PARTITIONS",
    "SPLITS",
    "LeakageReport",
    "Task",
    "TaskFile",
    "check_leakage",
    "class_set_hash",
    "load_task_file",
    "load_tasks",
    "partition_of",
    "save_tasks",
]

GENERATOR = "tina tasks"
"""The value of ``generator`` in task files written here."""

PARTITIONS = ("train", "validation", "test")

SPLITS = (
    "seen",
    "unseen-combination",
    "two-superclasses",
    "ten-superclasses",
    "unseen-classes",
    "two-unseen-classes",
    "validation",
)
"""The split names the framework gives; files of others may use any."""

NUM_UNSEEN = 2
"""How many classes of a task of the split ``two-unseen-classes`` were never trained on."""

_BUCKETS = 20
_TEST_BUCKETS = (0, 1, 2)
_VALIDATION_BUCKETS = (3,)


def class_set_hash(classes: Iterable[str]) -> int:
    """SHA-256 of the class set as an integer; neither order nor upper case matters."""
    names = sorted(name.lower() for name in classes)
    return int(hashlib.sha256("\n".join(names).encode()).hexdigest(), 16)


def partition_of(classes: Iterable[str]) -> str:
    """``test`` (15 % of all class sets), ``validation`` (5 %) or ``train`` (80 %): what a class set may be used for."""
    bucket = class_set_hash(classes) % _BUCKETS
    if bucket in _TEST_BUCKETS:
        return "test"
    return "validation" if bucket in _VALIDATION_BUCKETS else "train"


@dataclass(frozen=True)
class Task:
    """The classes to tell apart; label i of the task is `classes[i]`.

    Raises:
        DataError: fewer than two classes, or an empty or repeated name.
    """

    classes: tuple[str, ...]
    split: str | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(f"A task needs at least two classes; got {len(self.classes)}: {list(self.classes)}.")
        seen: set[str] = set()
        for name in self.classes:
            if not name.strip():
                raise DataError(f"A task has an empty class name: {list(self.classes)}. Give every class a name.")
            if name.lower() in seen:
                raise DataError(f"A task names '{name}' twice: {list(self.classes)}. Remove one of the two.")
            seen.add(name.lower())

    @property
    def class_set(self) -> frozenset[str]:
        return frozenset(self.classes)

    @property
    def partition(self) -> str:
        return partition_of(self.classes)


@dataclass(frozen=True)
class TaskFile:
    """What a task file holds: its tasks, and whether it is one of our own (see the module's text)."""

    tasks: tuple[Task, ...]
    own: bool


def save_tasks(path: Path | str, tasks: Sequence[Task]) -> None:
    """Writes a task file of our own, atomically."""
    entries = [
        {"classes": list(task.classes)} | ({} if task.split is None else {"split": task.split}) for task in tasks
    ]
    write_json(Path(path), {"generator": GENERATOR, "tasks": entries})


def load_tasks(path: Path | str, *, class_names: Collection[str] | None = None) -> list[Task]:
    """The tasks of a task file; see `load_task_file`."""
    return list(load_task_file(path, class_names=class_names).tasks)


def load_task_file(path: Path | str, *, class_names: Collection[str] | None = None) -> TaskFile:
    """Reads and checks a task file.

    Args:
        path: the JSON file.
        class_names: if given, every class must be one of these.

    Raises:
        DataError: the file is missing, malformed, or names a class that does not exist.
    """
    try:
        value = read_json(Path(path))
    except CheckpointError as error:
        raise DataError(f"Task file {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise DataError(
            f"Task file '{path}' has no list under the key 'tasks'; expected "
            '{"tasks": [{"classes": ["apple", "bear"], "split": "unseen-combination"}]}.'
        )
    if not value["tasks"]:
        raise DataError(f"Task file '{path}' holds no task; add at least one.")
    known = None if class_names is None else frozenset(class_names)
    tasks = tuple(_parse(entry, f"Task file '{path}', task {i}", known) for i, entry in enumerate(value["tasks"]))
    return TaskFile(tasks, own=value.get("generator") == GENERATOR)


def _parse(entry: Any, where: str, known: frozenset[str] | None) -> Task:
    if not isinstance(entry, dict) or not isinstance(entry.get("classes"), list):
        raise DataError(f"{where}: expected an object with a list under the key 'classes', got {_short(entry)}.")
    for name in entry["classes"]:
        if not isinstance(name, str):
            raise DataError(f"{where}: the class {_short(name)} is not a string; class names are strings.")
    split = entry.get("split")
    if split is not None and (not isinstance(split, str) or not split.strip()):
        raise DataError(
            f"{where}: 'split' is {_short(split)}; expected a name such as 'unseen-combination', or no key."
        )
    try:
        task = Task(tuple(entry["classes"]), split)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    for name in task.classes if known is not None else ():
        if known is not None and name not in known:
            close = difflib.get_close_matches(name.lower().replace("_", " "), sorted(known), n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {_short(sorted(known))}."
            raise DataError(f"{where}: the data set has no class '{name}'; {hint}")
    return task


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True)
class LeakageReport:
    """The tasks as they may be reported, and how many labels had to change.

    Attributes:
        tasks: in the order given, with corrected splits.
        relabelled_seen: tasks of a foreign file that training could have seen and that are now called ``seen``.
        relabelled_validation: tasks of a foreign file that were called unseen but belong to the validation partition.
        unseen_classes: tasks with a class that was never trained on, now called ``unseen-classes``.
    """

    tasks: tuple[Task, ...]
    relabelled_seen: int = 0
    relabelled_validation: int = 0
    unseen_classes: int = 0


def check_leakage(
    tasks: Iterable[Task],
    *,
    own: bool,
    trained_classes: Collection[str] | None = None,
    trained_class_sets: Iterable[Iterable[str]] | None = None,
) -> LeakageReport:
    """Makes sure that no task is reported as unseen which training could have seen.

    Training could have seen a task when its class set is in the train partition or in `trained_class_sets`, unless one
    of its classes was never trained on. Such a task, when it is called anything but ``seen``, stops the run if the file
    is our own and is called ``seen`` from here on if it is foreign. Tasks without a split get the one that is true.

    Args:
        tasks: what is to be evaluated.
        own: the tasks come from one of our own files (`TaskFile.own`), where a wrong label means a broken split.
        trained_classes: all classes that training used; None: unknown, taken to be all.
        trained_class_sets: class sets that were trained on in fact (the zoo's list), where known.

    Raises:
        LeakageError: a task of our own file that is called unseen or reserved may have been trained on, or was open to
            the choice of the checkpoint.
    """
    classes = None if trained_classes is None else frozenset(name.lower() for name in trained_classes)
    hashes = frozenset(class_set_hash(names) for names in trained_class_sets or ())
    checked: list[Task] = []
    seen = validation = unseen_classes = 0
    for i, task in enumerate(tasks):
        unknown = 0 if classes is None else sum(name.lower() not in classes for name in task.classes)
        if unknown:
            mixed = task.split == "two-unseen-classes" and unknown == NUM_UNSEEN < len(task.classes)
            unseen_classes += not mixed and task.split != "unseen-classes"
            checked.append(task if mixed else replace(task, split="unseen-classes"))
            continue
        truth = "seen" if class_set_hash(task.classes) in hashes else _SPLIT_OF_PARTITION[task.partition]
        if own and _contradicts(task.split, truth):
            raise LeakageError(_leak(i, task, truth))
        if truth == "seen" and task.split != "seen":
            seen += 1
            checked.append(replace(task, split="seen"))
        elif truth == "validation" and _claims_unseen(task.split):
            validation += 1
            checked.append(replace(task, split="validation"))
        elif task.split is None or (task.split in _OF_UNSEEN and classes is not None):
            checked.append(replace(task, split=truth))
        else:
            checked.append(task)
    return LeakageReport(tuple(checked), seen, validation, unseen_classes)


_CLAIMS = ("two-superclasses", "ten-superclasses", "two-unseen-classes")
_OF_UNSEEN = ("unseen-classes", "two-unseen-classes")
_SPLIT_OF_PARTITION = {"train": "seen", "validation": "validation", "test": "unseen-combination"}


def _claims_unseen(split: str | None) -> bool:
    return split is not None and (split.startswith("unseen") or split in _CLAIMS)


def _contradicts(split: str | None, truth: str) -> bool:
    if _claims_unseen(split):
        return truth != "unseen-combination"
    return split == "validation" and truth == "seen"


def _leak(index: int, task: Task, truth: str) -> str:
    names = _short(list(task.classes))
    if truth == "validation":
        reason = "its class set is in the validation partition, on which checkpoints are chosen"
    elif task.partition == "train":
        reason = "its class set is in the train partition, so training may have drawn it"
    else:
        reason = "its class set is in the list of what was trained on"
    return (
        f"Task {index} ({names}) is called '{task.split}', but {reason}. The numbers would not be those of unseen tasks; "
        "write the task file again with the sampler, or call the task 'seen'."
    )
