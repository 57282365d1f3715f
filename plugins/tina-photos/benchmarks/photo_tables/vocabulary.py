"""CLIP vectors of names, from a table of names with vectors, and ImageNet's 1,000 labels in it.

Shapes: M names, E width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from photo_tables.names import spellings, synonyms
from tina_framework.errors import DataError
from tina_framework.interfaces.class_names import fold

__all__ = ["Vocabulary", "unit"]

Vectors = npt.NDArray[np.float32]
_CLASSES = 1000


def unit(vectors: Vectors) -> Vectors:
    """Scale the rows to length 1."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


class Vocabulary:
    """The vectors in an ``.npz`` file with the arrays ``source``, ``name`` and ``emb`` (M, E).

    The rows with the source ``imagenet1k`` are ImageNet's labels in its order.

    Attributes:
        labels: ImageNet's 1,000 labels, each a list of synonyms in one string.
        label_vectors_ME: their vectors, centred and of length 1.
        names: all distinct names of the other sources.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                source, names, vectors = (file[key] for key in ("source", "name", "emb"))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"'{path}' is no table with the arrays source, name and emb ({error}).") from error
        raw = unit(vectors.astype(np.float32))
        self._mean = raw.mean(axis=0)
        self._names = [str(name) for name in names]
        is_label = source == "imagenet1k"
        if is_label.sum() != _CLASSES:
            raise DataError(f"'{path}' has {is_label.sum()} rows of the source 'imagenet1k'; it needs {_CLASSES}.")
        self.labels = [self._names[row] for row in np.flatnonzero(is_label)]
        self._vectors_ME = unit(raw - self._mean)
        self.label_vectors_ME = self._vectors_ME[is_label]
        self.names = sorted({fold(self._names[row]) for row in np.flatnonzero(~is_label)})
        # As the encoder `embedding-table` does: the first row of a name counts.
        self._row: dict[str, int] = {}
        for row, name in enumerate(self._names):
            self._row.setdefault(fold(name), row)
        self._by_spelling: dict[str, str] = {}
        for place in np.flatnonzero(~is_label):
            for spelling in spellings(self._names[place]):
                self._by_spelling.setdefault(spelling, self._names[place])

    def entries(self, name: str) -> tuple[str, ...]:
        """Return the texts of the table that mean a name; empty: the table lacks it.

        A name, its singular or its plural among the other sources counts first, else every label with such a synonym.
        """
        if fold(name) in self._row:
            return (self._names[self._row[fold(name)]],)
        own = spellings(name)
        if found := [self._by_spelling[spelling] for spelling in sorted(own) if spelling in self._by_spelling]:
            return (found[0],)
        return tuple(label for label in self.labels if any(own & spellings(word) for word in synonyms(label)))

    def vector(self, entries: Sequence[str]) -> Vectors:
        """Return the mean (E,) of the vectors of texts that `entries` returned, of length 1."""
        return unit(self._vectors_ME[[self._row[fold(entry)] for entry in entries]].mean(axis=0))

    def centred(self, vectors_NE: Vectors) -> Vectors:
        """Return other vectors of the same space, centred like the table's, of length 1."""
        return unit(unit(vectors_NE) - self._mean)

    def words(self) -> list[set[str]]:
        """Return the spellings of every name and every synonym of the table."""
        return [spellings(word) for name in self._names for word in {name, *synonyms(name)}]
