"""Turn labels as users give them into class indices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tina_framework.errors import DataError, shorten
from tina_framework.interfaces.class_names import MAX_NAME_LENGTH, normalize_name
from tina_framework.plugin.suggest import closest

__all__ = ["class_indices", "label_indices", "median_count", "short_list"]


def class_indices(
    labels: Any, class_names: Sequence[str], num_pictures: int, *, some_absent: bool = False
) -> list[int]:
    """Return N class indices of pictures to fine-tune on.

    Args:
        labels: as `label_indices` takes them.
        class_names: K names.
        num_pictures: N.
        some_absent: whether classes may lack pictures, if two have some.

    Raises:
        DataError: as for `label_indices`, or there are no pictures, or too few classes have pictures.
    """
    if num_pictures == 0:
        raise DataError("There are no pictures to fine-tune on; give at least one of every class.")
    indices = label_indices(labels, class_names, num_pictures)
    absent = [name for k, name in enumerate(class_names) if k not in set(indices)]
    if some_absent and len(class_names) > 1 and len(set(indices)) == 1:
        raise DataError(
            f"All pictures are of the class {shorten(class_names[indices[0]])}, so they cannot show how it differs from another; "
            "give pictures of at least two classes."
        )
    if absent and not some_absent:
        shown = f"{', '.join(map(repr, absent[:3]))}{' and others' if len(absent) > 3 else ''}"
        raise DataError(
            f"There is no picture of {shown}; the classifier would forget a class that it is not shown. "
            "Give at least one picture of every class, or generate a classifier without it."
        )
    return indices


def label_indices(labels: Any, class_names: Sequence[str], num_pictures: int) -> list[int]:
    """Return N class indices.

    Args:
        labels: one label, or a sequence or iterator of N labels, or an array, tensor or list of the shape (N,) or (N, 1): class
            names, or indices into `class_names`.
        class_names: K names.
        num_pictures: N.

    Raises:
        DataError: the numbers of labels and pictures differ, or a label is not a class.
    """
    if isinstance(labels, set | frozenset | Mapping):
        raise DataError(
            f"Labels were given as a {type(labels).__name__}, which does not say which picture each belongs to; give a list."
        )
    if isinstance(labels, Iterator):
        labels = list(labels)
    elif getattr(labels, "ndim", 0) == 2 and labels.shape[1] == 1:  # a column, as tables and many data sets have it
        labels = labels[:, 0]
    # A string, and a NumPy or torch scalar: one label.
    if isinstance(labels, str) or not hasattr(labels, "__len__") or getattr(labels, "ndim", 1) == 0:
        labels = [labels]
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(given) != num_pictures:
        raise DataError(f"There are {num_pictures} pictures but {len(given)} labels; give one label per picture.")
    return [_index(label, class_names) for label in given]


def _index(label: Any, class_names: Sequence[str]) -> int:
    if isinstance(label, list | tuple) and len(label) == 1:  # a row of a column
        label = label[0]
    if hasattr(label, "item") and math.prod(getattr(label, "shape", ())) == 1:  # a scalar of NumPy or torch
        label = label.item()
    if isinstance(label, str):
        # Letters with accents have two forms, which are the same name.
        normalized = [normalize_name(name) for name in class_names]
        if (wanted := normalize_name(label)) in normalized:
            return normalized.index(wanted)
        close = closest(label[:MAX_NAME_LENGTH], class_names)
        hint = f"did you mean '{close[0]}'?" if close else f"its classes are {short_list(class_names)}."
        raise DataError(f"The classifier has no class {shorten(label)}; {hint}")
    # bool is a subclass of int, but True is more likely a mistake than class 1.
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(class_names):
        return label
    raise DataError(
        f"A label is {shorten(label)}; give class names, or whole numbers from 0 to {len(class_names) - 1} (indices into class_names)."
    )


def median_count(indices: Sequence[int], num_classes: int) -> int:
    """Return the median number of pictures per class (the lower of the two middle ones)."""
    return sorted(indices.count(k) for k in range(num_classes))[(num_classes - 1) // 2]


def short_list(names: Sequence[str]) -> str:
    """Return the first class names as words of a message."""
    text = ", ".join(names[:12])
    return text if len(text) <= 200 else f"{text[:197]}..."
