"""Read the names and vectors for training clip-lite, and decide which of them are held out.

Shapes: M names, E width.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.encoders.clip_lite_text import canonical, singular, words
from tina_framework.errors import DataError

Array = npt.NDArray[np.float64]

HELD_OUT = "held-out"
VALIDATION = "validation"
FIT = "fit"


@dataclass(frozen=True)
class Vocabulary:
    """Distinct canonical names (M), their unit vectors (M, E) for "a {}", and which are classes of the data set."""

    names: tuple[str, ...]
    vectors: Array
    is_class: npt.NDArray[np.bool_]

    @property
    def is_plain(self) -> npt.NDArray[np.bool_]:
        """Which names (M,) are single names instead of lists of synonyms."""
        return np.array(["," not in name for name in self.names])


def read_vocabulary(files: Sequence[Path]) -> Vocabulary:
    """Read tables with `class_names` and `a` (the data set's classes) or `name`, `emb` and `source` (further names).

    Classes come first. A repeated name is ignored, because its vectors agree up to rounding.
    Rows of `tinyimagenet` name a list of synonyms, but their vectors are those of the first synonym (cosine 1.000 with
    the rows of other sources that have only this name). So only the first synonym is read.

    Raises:
        DataError: a file has other arrays.
    """
    classes: dict[str, Array] = {}
    others: dict[str, Array] = {}
    for file in files:
        with np.load(file, allow_pickle=False) as table:
            if "class_names" in table:
                for name, vector in zip(table["class_names"], table["a"].astype(np.float64), strict=True):
                    classes.setdefault(canonical(str(name)), vector)
            elif {"name", "emb", "source"} <= set(table.files):
                rows = zip(table["source"], table["name"], table["emb"].astype(np.float64), strict=True)
                for source, name, vector in rows:
                    text = str(name).split(",")[0] if source == "tinyimagenet" else str(name)
                    others.setdefault(canonical(text), vector)
            else:
                raise DataError(
                    f"'{file}' has neither 'class_names' and 'a' nor 'name', 'emb' and 'source'; give another table."
                )
    merged = classes | {name: vector for name, vector in others.items() if name not in classes}
    vectors = np.array(list(merged.values()))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Vocabulary(tuple(merged), vectors, np.array([name in classes for name in merged]))


def variants(name: str) -> list[str]:
    """Return other spellings of a name: each listed synonym in singular, with and without its remark in brackets."""
    found = []
    for part in name.split(","):
        for text in (part, re.sub(r"\([^)]*\)", " ", part)):
            spelling = " ".join(singular(word) for word in words(text))
            if spelling and spelling not in found:
                found.append(spelling)
    return found


def families(vocabulary: Vocabulary) -> list[str]:
    """Return a key for each name (M,). Names that share a variant, directly or through others, have the same key."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    for name in vocabulary.names:
        first, *rest = variants(name)
        for other in rest:
            # The first spelling in the alphabet becomes the key, so that the order of the names does not matter.
            low, high = sorted((find(first), find(other)))
            leader[high] = low
    return [find(variants(name)[0]) for name in vocabulary.names]


def bucket(key: str, number: int, salt: str = "") -> int:
    """Return a number in 0..number - 1 that depends only on the text."""
    return int(hashlib.sha256((salt + key).encode()).hexdigest(), 16) % number


def divide(vocabulary: Vocabulary) -> npt.NDArray[np.str_]:
    """Return for each name (M,) ``held-out`` (three families in twenty), ``validation`` (two) or ``fit``.

    Families that contain a class of the data set are always ``fit``.
    """
    keys = families(vocabulary)
    kin = {key for key, is_class in zip(keys, vocabulary.is_class, strict=True) if is_class}
    parts = []
    for key in keys:
        place = bucket(key, 20)
        parts.append(FIT if key in kin or place >= 5 else HELD_OUT if place < 3 else VALIDATION)
    return np.array(parts)


def cosines(predicted: Array, true: Array) -> Array:
    """Return the cosine (M,) of each row with its true row."""
    lengths = np.linalg.norm(predicted, axis=1) * np.linalg.norm(true, axis=1)
    result: Array = (predicted * true).sum(axis=1) / np.maximum(lengths, 1e-12)
    return result


def sha256_of(files: Sequence[Path]) -> dict[str, str]:
    """Return file name -> SHA-256."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
