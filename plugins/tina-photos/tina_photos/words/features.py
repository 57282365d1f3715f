"""What a text is compared by: two vectors of MiniLM, one for its words and one for what they mean.

Shapes: N texts, D = 384.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tina_photos.words.lexicon import Found, Lexicon, fold, noun_forms
from tina_photos.words.regression import unit

__all__ = ["Reading", "features", "read"]

Floats = npt.NDArray[np.float32]

_MAX_NAME_WORDS = 4
# A text with one of these describes something, unless the lexicon has the whole text ("jack in the box").
_DESCRIBING = frozenset(
    ("with", "that", "which", "who", "whose", "used", "for", "has", "have", "having", "is", "are", "made", "to", "you")
)


@dataclass(frozen=True)
class Reading:
    """How a text is read.

    Attributes:
        prompt: what MiniLM reads for the first vector.
        meaning: what it reads for the second vector. It is not used where a noun was found.
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


def features(
    readings: Sequence[Reading], embed: Callable[[Sequence[str]], Floats], lexicon: Lexicon
) -> npt.NDArray[np.float32]:
    """Return unit vectors (N, 2, D) for the words and for the meanings of texts."""
    texts = [reading.prompt for reading in readings]
    texts += [reading.meaning for reading in readings if reading.found is None]
    vectors = dict(zip(texts, embed(texts), strict=True))
    result = np.zeros((len(readings), 2, lexicon.dim), dtype=np.float32)
    for row, reading in enumerate(readings):
        result[row, 0] = vectors[reading.prompt]
        result[row, 1] = vectors[reading.meaning] if reading.found is None else lexicon.vector(reading.found)
    return unit(result)
