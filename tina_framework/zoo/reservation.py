"""The rule that reserves class sets for evaluation, and the check that no reported task was trained on.

The rule hashes a class set, with names in lower case: ``int(sha256("\\n".join(sorted(names))), 16) % 20``. Sets with the
remainders 0, 1 and 2 are reserved for testing, those with 3 for validation; training may use the rest. The rule needs
no list of reserved tasks. So "unseen combination" holds for every class count, however many tasks training draws.

Where the classes allow fewer than `MIN_CLASS_SETS` sets of some class count, nothing of that count is reserved. A data set
of ten classes, for example, has a single set of ten: the one that its users want most.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tina_framework.errors import LeakageError, shorten

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = [
    "MIN_CLASS_SETS",
    "NUM_UNSEEN",
    "PARTITIONS",
    "LeakageReport",
    "check_leakage",
    "class_set_hash",
    "partition_of",
    "reserves",
]

PARTITIONS = ("train", "validation", "test")

NUM_UNSEEN = 2
"""How many classes of a task in the split ``two-unseen-classes`` were never trained on."""

_BUCKETS = 20

MIN_CLASS_SETS = _BUCKETS
"""Class counts with fewer sets than this have none reserved: less than one set for validation would be expected."""

_TEST_BUCKETS = (0, 1, 2)
_VALIDATION_BUCKETS = (3,)


def class_set_hash(classes: Iterable[str]) -> int:
    """Return the SHA-256 of a class set as an integer. Neither order nor upper case matters."""
    names = sorted([name.lower() for name in classes])
    return int.from_bytes(hashlib.sha256("\n".join(names).encode()).digest())


@functools.lru_cache(maxsize=1024)
def reserves(num_classes: int, count: int) -> bool:
    """Return whether sets of `count` of `num_classes` classes are reserved at all; see `MIN_CLASS_SETS`."""
    return math.comb(num_classes, count) >= MIN_CLASS_SETS


def partition_of(classes: Collection[str], num_classes: int | None = None) -> str:
    """Return the use of a class set: ``test`` (15 % of all sets), ``validation`` (5 %) or ``train`` (80 %).

    Args:
        classes: the class set.
        num_classes: how many classes the set was drawn from. If they allow too few sets of this count, the answer is
            ``train``; see `reserves`. None: there are enough.
    """
    if num_classes is not None and not reserves(num_classes, len(classes)):
        return "train"
    bucket = class_set_hash(classes) % _BUCKETS
    if bucket in _TEST_BUCKETS:
        return "test"
    return "validation" if bucket in _VALIDATION_BUCKETS else "train"


@dataclass(frozen=True)
class LeakageReport:
    """The tasks with the splits under which they may be reported, and how many splits had to change.

    A *foreign* task file is one that this package did not write (`TaskFile.own` is False).

    Attributes:
        tasks: in the order given, with corrected splits.
        relabelled_seen: tasks of a foreign file that training could have seen; they are now called ``seen``.
        relabelled_validation: tasks of a foreign file that were called unseen but belong to the validation partition.
        unseen_classes: tasks with a class that was never trained on; they are now called ``unseen-classes``.
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
    """Check that no task is reported as unseen although training could have seen it.

    Training could have seen a task whose class set is in the train partition or in `trained_class_sets`, unless one
    of its classes was never trained on. In a file that this package wrote, calling such a task anything but ``seen`` is
    an error. In any other (foreign) file, the task is relabelled as ``seen``. Tasks without a split get the correct one.

    Args:
        tasks: the tasks to be evaluated.
        own: the tasks come from a file that this package wrote (`TaskFile.own`). A wrong split then raises an error,
            because it means that the file was edited or that the rule was broken.
        trained_classes: all classes that training used. Their number decides which class counts have reserved sets.
            None: unknown; all are assumed.
        trained_class_sets: the class sets in the zoo's list, which were trained on whatever their partition. None: unknown.

    Raises:
        LeakageError: in a file that this package wrote, a task is called unseen or reserved, but may have been trained on or
            may have been used to choose the checkpoint.
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
        partition = partition_of(task.classes, None if classes is None else len(classes))
        truth = "seen" if class_set_hash(task.classes) in hashes else _SPLIT_OF_PARTITION[partition]
        if own and _contradicts(task.split, truth):
            raise LeakageError(_leak(i, task, truth, partition))
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


# Splits that claim unseen tasks although their names do not begin with "unseen".
_CLAIMS = ("two-superclasses", "ten-superclasses", "two-unseen-classes")
_OF_UNSEEN = ("unseen-classes", "two-unseen-classes")
_SPLIT_OF_PARTITION = {"train": "seen", "validation": "validation", "test": "unseen-combination"}


def _claims_unseen(split: str | None) -> bool:
    return split is not None and (split.startswith("unseen") or split in _CLAIMS)


def _contradicts(split: str | None, truth: str) -> bool:
    if _claims_unseen(split):
        return truth != "unseen-combination"
    return split == "validation" and truth == "seen"


def _leak(index: int, task: Task, truth: str, partition: str) -> str:
    names = shorten(list(task.classes))
    if truth == "validation":
        reason = "its class set is in the validation partition, on which checkpoints are chosen"
    elif partition == "train":
        reason = "its class set is in the train partition, so training may have drawn it"
    else:
        reason = "its class set is in the list of what was trained on"
    return (
        f"Task {index} ({names}) is called '{task.split}', but {reason}. "
        "Its accuracy would not be that of an unseen task; "
        "write the task file again with `tina zoo tasks`, or call the task 'seen'."
    )
