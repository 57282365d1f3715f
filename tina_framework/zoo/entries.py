"""What a zoo records of each p-Model: one entry, and the entries of a whole zoo as columns."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tina_framework.errors import shorten
from tina_framework.interfaces.class_names import normalize_name

__all__ = ["ZooEntries", "ZooEntry"]

# The same few names are in thousands of entries.
_normalized = functools.lru_cache(maxsize=100_000)(normalize_name)


@dataclass(frozen=True)
class ZooEntry:
    """What the index says of one p-Model. Accuracies are fractions of 1, on the validation images of its classes."""

    id: int
    classes: tuple[str, ...]
    seed: int
    validation_accuracy: float
    selection_accuracy: float

    @classmethod
    def from_json(cls, value: Any) -> ZooEntry:
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: a key is missing or unknown, or a value is of a wrong type.
        """
        try:
            model_id, classes, seed, validation, selection = _fields_of(value)
            known = len(value) == 5
        except (KeyError, TypeError, IndexError):
            known = False
        if not known:
            raise ValueError(f"{shorten(value)} does not describe a p-Model")
        if type(classes) is not list or not _STRINGS.issuperset(map(type, classes)):
            raise ValueError(f"its classes are {shorten(classes)}")
        if type(model_id) is not int or type(seed) is not int:
            raise ValueError(f"its id and seed are {shorten((model_id, seed))}")
        for accuracy in (validation, selection):
            if type(accuracy) not in (float, int) or not 0 <= accuracy <= 1:
                raise ValueError(f"an accuracy is {shorten(accuracy)}")
        return cls(model_id, tuple(map(_normalized, classes)), seed, validation, selection)


_fields_of = operator.itemgetter(*ZooEntry.__dataclass_fields__)
_STRINGS = {str}


class ZooEntries(Sequence[ZooEntry]):
    """The entries of a zoo by id, stored as columns. A `ZooEntry` is made when it is asked for.

    100,000 entries of ten classes need 6 MB this way, and 60 MB as objects.

    Args:
        names: the classes of the zoo, in the order of their labels.
        counts: (Z,) how many classes each p-Model has.
        labels: the labels of the classes of all p-Models, one after the other.
        seed_of: p-Model id -> seed.
        validation: (Z,) validation accuracies.
        selection: (Z,) validation accuracies of selection.
    """

    def __init__(
        self,
        names: Sequence[str],
        counts: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int32],
        seed_of: Callable[[int], int],
        validation: npt.NDArray[np.float64],
        selection: npt.NDArray[np.float64],
    ) -> None:
        self.names = tuple(names)
        self.counts = counts
        self._labels, self._seed_of, self._validation, self._selection = labels, seed_of, validation, selection
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.counts)

    def classes(self, model_id: int) -> tuple[str, ...]:
        """Return the class names of one p-Model."""
        labels = self._labels[self._starts[model_id] : self._starts[model_id + 1]].tolist()
        return tuple([self.names[label] for label in labels])

    def lists(self, values: Any, ids: range) -> bool:
        """Return whether JSON values are the entries of these ids. It makes no objects, so it is quick.

        Raises:
            KeyError, TypeError: a value is not an entry.
        """
        labels = self._labels[self._starts[ids.start] : self._starts[ids.stop]].tolist()
        within = slice(ids.start, ids.stop)
        return bool(
            [value["id"] for value in values] == list(ids)
            and [len(value["classes"]) for value in values] == self.counts[within].tolist()
            and [name for value in values for name in value["classes"]] == [self.names[label] for label in labels]
            and [value["seed"] for value in values] == [self._seed_of(i) for i in ids]
            and [value["validation_accuracy"] for value in values] == self._validation[within].tolist()
            and [value["selection_accuracy"] for value in values] == self._selection[within].tolist()
        )

    def of_classes(self, allowed: Collection[str], most: int) -> list[int]:
        """Return the ids of the p-Models that have at most `most` classes, all of them among `allowed`."""
        known = np.array([name in allowed for name in self.names], dtype=np.int64)
        # The sum of an empty slice would be wrong with `reduceat`, so differences of running sums are used.
        running = np.concatenate([[0], np.cumsum(known[self._labels])])
        inside = running[self._starts[1:]] - running[self._starts[:-1]]
        found: list[int] = np.flatnonzero((inside == self.counts) & (self.counts <= most)).tolist()
        return found

    @overload
    def __getitem__(self, place: int) -> ZooEntry: ...

    @overload
    def __getitem__(self, place: slice) -> list[ZooEntry]: ...

    def __getitem__(self, place: int | slice) -> ZooEntry | list[ZooEntry]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        i = range(len(self))[place]  # negative places, and the error for those outside
        accuracies = float(self._validation[i]), float(self._selection[i])
        return ZooEntry(i, self.classes(i), self._seed_of(i), *accuracies)

    def __iter__(self) -> Iterator[ZooEntry]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
