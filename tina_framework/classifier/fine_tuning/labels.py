"""From the labels a user has to outputs of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tina_framework.errors import DataError
from tina_framework.plugin.suggest import closest

__all__ = ["class_slots", "usual_count"]


def class_slots(labels: Any, class_names: Sequence[str], num_pictures: int) -> list[int]:
    """Labels as a user has them -> N output numbers.

    Args:
        labels: one label or a sequence, array or tensor of N: class names, or their places in `class_names`.
        class_names: K names.
        num_pictures: N.

    Raises:
        DataError: there are no pictures, another number of labels, a label that is no class, or a class without a picture.
    """
    if isinstance(labels, str) or not hasattr(labels, "__len__") or getattr(labels, "ndim", 1) == 0:
        labels = [labels]
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if num_pictures == 0:
        raise DataError("There are no pictures to learn from; give at least one of every class.")
    if len(given) != num_pictures:
        raise DataError(f"There are {num_pictures} pictures but {len(given)} labels; give one label a picture.")
    slots = [_slot(label, class_names) for label in given]
    absent = [name for k, name in enumerate(class_names) if k not in set(slots)]
    if absent:
        raise DataError(
            f"There is no picture of {', '.join(map(repr, absent[:3]))}{' and others' if len(absent) > 3 else ''}; the classifier "
            "would unlearn a class it is not shown. Give at least one picture of every class, or generate a classifier without it."
        )
    return slots


def _slot(label: Any, class_names: Sequence[str]) -> int:
    if hasattr(label, "item"):  # one number of NumPy or torch
        label = label.item()
    if isinstance(label, str):
        if label in class_names:
            return list(class_names).index(label)
        close = closest(label, class_names)
        hint = f"did you mean '{close[0]}'?" if close else f"its classes are {', '.join(class_names[:12])}."
        raise DataError(f"The classifier has no class '{label}'; {hint}")
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(class_names):
        return label
    raise DataError(
        f"A label is {label!r}; give class names, or whole numbers from 0 to {len(class_names) - 1} (places in class_names)."
    )


def usual_count(slots: Sequence[int], num_classes: int) -> int:
    """The median number of pictures a class (the lower of two)."""
    return sorted(slots.count(k) for k in range(num_classes))[(num_classes - 1) // 2]
