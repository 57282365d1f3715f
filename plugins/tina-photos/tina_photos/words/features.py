"""What a text is compared by: two vectors of MiniLM, one for its words and one for what they mean.

Shapes: N texts, D = 384.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tina_photos.words.lexicon import Found, Lexicon, fold, noun_forms
from tina_photos.words.minilm import MiniLM
from tina_photos.words.regression import unit

__all__ = ["Reading", "features", "read"]

Floats = npt.NDArray[np.float32]

_MAX_NAME_WORDS = 4
# A text with one of these describes something, unless the lexicon has the whole text ("jack in the box").
_DESCRIBING = frozenset(
    ("with", "that", "which", "who", "whose", "used", "for", "has", "have", "having", "is", "are", "made", "to", "you")
)


_NAME_SHARE = 1.0
"""The definition of "fan" is not that of "ceiling fan". So this much of the vector of the whole name is added to it."""
_MEANING_SHARE = 0.7
"""MiniLM reads rare words in pieces: "ketch" is near "ketchup". So this much of the definition's vector is added."""


@dataclass(frozen=True)
class Reading:
    """How a text is read.

    Attributes:
        prompt: what MiniLM reads for the first vector.
        meaning: what it reads for the second vector. It is not used where the lexicon has the whole name.
        found: the noun.
    """

    prompt: str
    meaning: str
    found: Found | None


def read(text: str, lexicon: Lexicon) -> Reading:
    """Read a text as a name ("sea horse"), as several names of one thing ("tench, Tinca tinca"), or as a description."""
    text = " ".join(text.replace("_", " ").split())
    names = [name for name in (fold(re.sub(r"\(.*?\)", " ", part)) for part in text.split(",")) if name]
    found = lexicon.find(names[0], names[1:]) if names else None
    if not (found and found.whole) and any(_describes(name) for name in names):
        return Reading(f"a photo of {text}", text, None)
    bare = re.sub(r"^(?:an?|the|some) (?=.)", "", text, flags=re.IGNORECASE)
    if found and found.whole and len(names) == 1 and found.noun in noun_forms(names[0])[1:]:
        bare = found.noun
    return Reading(f"a photo of a {bare}", bare, found)


def _describes(name: str) -> bool:
    words = name.split()
    return len(words) > _MAX_NAME_WORDS or not _DESCRIBING.isdisjoint(words)


def features(readings: Sequence[Reading], minilm: MiniLM, lexicon: Lexicon) -> Floats:
    """Return unit vectors (N, 2, D) for the words and for the meanings of texts."""
    texts = [reading.prompt for reading in readings]
    texts += [reading.meaning for reading in readings if not _is_whole(reading)]
    vectors = dict(zip(texts, minilm.embed(texts), strict=True))
    result = np.zeros((len(readings), 2, lexicon.dim), dtype=np.float32)
    for row, reading in enumerate(readings):
        words, found = vectors[reading.prompt], reading.found
        if found is None:
            meaning = vectors[reading.meaning]
        else:
            meaning = unit(lexicon.vector(found))
            if not found.whole:
                meaning = unit(meaning + _NAME_SHARE * vectors[reading.meaning])
            elif not all(minilm.has(word) for word in found.noun.split()):
                words = unit(words + _MEANING_SHARE * meaning)
        result[row] = words, meaning
    return result


def _is_whole(reading: Reading) -> bool:
    return reading.found is not None and reading.found.whole
