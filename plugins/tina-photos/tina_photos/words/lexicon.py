"""Nouns of WordNet with vectors of their definitions.

A noun has several senses ("crane": a bird, a machine). Each sense has a weight, larger for things that can be photographed and for
frequent senses, and the MiniLM vector of its definition. The vectors are reduced by principal components and rounded to bytes.

Shapes: N nouns, W other words, S pairs of a noun and a sense, V senses, P principal components, D = 384.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Found", "Lexicon", "fold", "noun_forms", "without_accents"]

Floats = npt.NDArray[np.float32]

_ARTICLE = re.compile(r"^(?:an?|the|some) (?=.)")
# What stands behind one of these describes the noun before it: "man with a hat".
_PREPOSITIONS = frozenset(
    ("with", "in", "on", "at", "by", "for", "from", "of", "that", "which", "who", "without", "under", "over", "near")
)
_SYNONYM_BONUS = 3.0
"""A sense that another of the given synonyms shares counts 1 + this much for each of them."""


@dataclass(frozen=True)
class Found:
    """What the lexicon knows about a name.

    Attributes:
        noun: the noun that was found, as the lexicon spells it.
        whole: whether it is the whole name. Otherwise it is the end of the name: "fan" for "ceiling fan".
        rows: numbers of its senses.
        weights: of the senses, with the sum 1.
    """

    noun: str
    whole: bool
    rows: npt.NDArray[np.int64]
    weights: Floats


class Lexicon:
    """The lexicon.

    Args:
        arrays: as `arrays_of` in ``pretraining/fit_words.py`` makes them: ``nouns`` and ``words`` (UTF-8, one a line), ``starts``
            (N + 1,), ``rows`` and ``weights`` (S,), ``vectors`` (V, P), ``scales`` (V,), ``basis`` (P, D), ``mean`` (D,).
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        nouns = arrays["nouns"].tobytes().decode().split("\n")
        self._number = dict(zip(nouns, range(len(nouns)), strict=True))
        self._words = set(arrays["words"].tobytes().decode().split("\n"))
        self._starts = arrays["starts"].astype(np.int64)
        self._rows, self._weights = arrays["rows"], arrays["weights"]
        self._vectors, self._scales = arrays["vectors"], arrays["scales"]
        self._basis, self._mean = arrays["basis"].astype(np.float32), arrays["mean"].astype(np.float32)

    @property
    def dim(self) -> int:
        """D, the width of `vector`."""
        return len(self._mean)

    def find(self, name: str, synonyms: Sequence[str] = ()) -> Found | None:
        """Return the senses of a noun, or else of the noun that the name ends with; None if there is no such noun.

        Args:
            name: folded by `fold`.
            synonyms: other names of the same thing, which help to choose among the senses.
        """
        for noun, whole in _candidates(name):
            if noun in self._number:
                rows, weights = self._senses(noun)
                for other in synonyms:
                    # Only a noun that is the whole synonym tells something.
                    known = next((form for form in noun_forms(other) if form in self._number), None)
                    shared = np.isin(rows, self._senses(known)[0]) if known else np.zeros(len(rows), dtype=bool)
                    bonus: Floats = (_SYNONYM_BONUS * shared).astype(np.float32) * self._senses(noun)[1]
                    weights = weights + bonus
                return Found(noun, whole, rows, (weights / weights.sum()).astype(np.float32))
        return next((found for other in synonyms if (found := self.find(other))), None)

    def _senses(self, noun: str) -> tuple[npt.NDArray[np.int64], Floats]:
        part = slice(*self._starts[self._number[noun] : self._number[noun] + 2])
        return self._rows[part].astype(np.int64), self._weights[part].astype(np.float32)

    def vector(self, found: Found) -> Floats:
        """Return the weighted mean (D,) of the vectors of the senses."""
        parts = self._vectors[found.rows].astype(np.float32) * self._scales[found.rows].astype(np.float32)[:, None]
        coordinates: Floats = found.weights @ parts
        return self._mean + coordinates @ self._basis

    def has(self, word: str) -> bool:
        """Whether a single word is a noun, a part of a noun, or another word of WordNet, in any common ending."""
        return any(form in self._number or form in self._words for form in (*noun_forms(word), *_verb_forms(word)))


def fold(text: str) -> str:
    """Return a text in lower case without accents and article, and with single spaces in place of hyphens and underscores."""
    return _ARTICLE.sub("", " ".join(re.sub(r"[-_\s]+", " ", without_accents(text.lower())).split()))


def without_accents(text: str) -> str:
    """Return a text without accents, as WordNet and MiniLM spell words: "eclair"."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _candidates(name: str) -> Iterator[tuple[str, bool]]:
    yield from ((form, True) for form in noun_forms(name))
    yield name.replace(" ", ""), True
    words = name.split()
    # A preposition cannot come first: then the whole text is searched.
    end = next((place for place, word in enumerate(words) if place and word in _PREPOSITIONS), len(words))
    for start in range(0 if end < len(words) else 1, end):
        yield from ((form, False) for form in noun_forms(" ".join(words[start:end])))


def noun_forms(name: str) -> list[str]:
    """Return a name, and what it may be the plural of."""
    forms = [name]
    for ending, singular in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""), ("men", "man")):
        if name.endswith(ending) and len(name) > len(ending) + 1 and not name.endswith("ss"):
            forms.append(name[: -len(ending)] + singular)
    return forms


def _verb_forms(word: str) -> list[str]:
    """Return what a word may be a form of: "striped" of "stripe", "larger" of "large"."""
    forms = []
    for ending in ("ed", "ing", "er", "est", "ly", "y", "d"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            forms += [stem, f"{stem}e", stem[:-1] if stem[-1] == stem[-2] else stem]
    return forms
