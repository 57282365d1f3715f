"""The text tower of ``clip-lite``: kernel ridge regression from the spelling of a name to CLIP's text vector.

A name is compared with the M names of the fit; the vector is the mean vector plus a weighted sum of M learnt
coefficient rows, the weights being the similarities:

    k(x, i) = w_bias + w_word <word_x, word_i> + w_ngram <ngram_x, ngram_i> + w_structure <s_x, s_i> / S + w_name [x = i]

``word`` and ``ngram`` are unit vectors of tf-idf values (of the words, and of the character n-grams of each word with
its boundaries), s are S numbers about a name's length and form, and the last term knows a whole name. With
alpha = (K + noise I)^-1 (V - mean), this is the posterior mean of a Gaussian process (Rasmussen and Williams, *Gaussian
Processes for Machine Learning*, 2006, equation 2.23). Words are kept as hashes, not as text.

Shapes: M names of the fit, F features, Z stored (feature, name) pairs, S form numbers, E width.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.encoders.clip_lite_postings import Postings
from tina_framework.errors import PromptError

__all__ = ["KernelSettings", "TextTower", "canonical", "singular", "words"]

Floats = npt.NDArray[np.float32]
FORM_NUMBERS = 5

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def canonical(text: str) -> str:
    """One spelling: lower case, single spaces, no hyphens, underscores, slashes, or leading article.

    Raises:
        PromptError: there is no letter or digit in it.
    """
    folded = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    folded = " ".join(re.sub(r"[_\-/]", " ", folded).split())
    folded = re.sub(r"^(?:an?|the) (?=\S)", "", folded).rstrip(".!?")
    if not _WORD.search(folded):
        raise PromptError(f"Class name {text!r} has no letter or digit; clip-lite reads names from their spelling.")
    return folded


def words(text: str) -> list[str]:
    """The words of a canonical text."""
    return _WORD.findall(text)


def singular(word: str) -> str:
    """A plain rule for English plurals; it only has to map both forms to one, not to be right."""
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(?:s|x|z|ch|sh)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _name_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _form(text: str) -> list[float]:
    """S numbers: how many synonyms are listed, how long it is, whether it has a remark in brackets."""
    commas = text.count(",")
    return [
        min(commas, 6) / 2.0,
        float(commas > 0),
        math.log(len(text)),
        math.log(len(words(text))),
        float("(" in text),
    ]


@dataclass(frozen=True)
class KernelSettings:
    """The weights of the kernel's terms, the lengths of its n-grams, and the noise that the fit assumes."""

    bias: float = 1.0
    word: float = 1.0
    ngram: float = 1.0
    structure: float = 0.3
    name: float = 0.5
    noise: float = 0.01
    shortest: int = 1
    longest: int = 6

    def word_features(self, text: str) -> list[str]:
        return [singular(word) for word in words(text)]

    def ngram_features(self, text: str) -> list[str]:
        found = []
        for word in words(text):
            marked = f"<{word}>"
            for length in range(self.shortest, self.longest + 1):
                found += [marked[start : start + length] for start in range(len(marked) - length + 1)]
        return found


@dataclass(frozen=True)
class Reading:
    """What the tower makes of one text: (E,) vector, and what its confidence is judged by."""

    vector: Floats
    known: bool
    length: float
    similarity: float


class TextTower:
    """Reads names.

    Args:
        tensors: the arrays of `shapes`, as `train_text.py` wrote them.
        settings: those of the fit.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], settings: KernelSettings) -> None:
        self.settings = settings
        self.mean = tensors["mean"].astype(np.float32)
        self._coefficients_ME = tensors["coefficients"].astype(np.float32)
        self._row = {int(value): row for row, value in enumerate(tensors["name_hashes"])}
        self._form_mean = tensors["form.mean"].astype(np.float64)
        self._form_std = tensors["form.std"].astype(np.float64)
        self._forms_MS = tensors["form.values"].astype(np.float64)
        self._words, self._ngrams = (
            Postings(len(self._row), *(tensors[f"{kind}.{part}"] for part in ("hashes", "offsets", "names", "counts")))
            for kind in ("word", "ngram")
        )

    @staticmethod
    def shapes(num_names: int, dim: int, sizes: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
        """The tensors a tower consists of. `sizes`: kind -> (F, Z)."""
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (dim,),
            "coefficients": (num_names, dim),
            "name_hashes": (num_names,),
            "form.mean": (FORM_NUMBERS,),
            "form.std": (FORM_NUMBERS,),
            "form.values": (num_names, FORM_NUMBERS),
        }
        for kind in ("word", "ngram"):
            features, pairs = sizes[kind]
            shapes |= {f"{kind}.hashes": (features,), f"{kind}.offsets": (features + 1,)}
            shapes |= {f"{kind}.names": (pairs,), f"{kind}.counts": (pairs,)}
        return shapes

    @staticmethod
    def untrained(texts: Sequence[str], mean: Floats, settings: KernelSettings) -> dict[str, npt.NDArray[Any]]:
        """All tensors for M canonical names, the coefficients zero."""
        forms = np.array([_form(text) for text in texts])
        spread = np.maximum(forms.std(axis=0), 1e-6)
        tensors: dict[str, npt.NDArray[Any]] = {
            "mean": mean.astype(np.float32),
            "coefficients": np.zeros((len(texts), len(mean)), dtype=np.float16),
            "name_hashes": np.array([_name_hash(text) for text in texts], dtype=np.int64),
            "form.mean": forms.mean(axis=0).astype(np.float32),
            "form.std": spread.astype(np.float32),
            "form.values": ((forms - forms.mean(axis=0)) / spread).astype(np.float32),
        }
        for kind, read in (("word", settings.word_features), ("ngram", settings.ngram_features)):
            built = Postings.build([read(text) for text in texts])
            tensors |= {f"{kind}.{part}": array for part, array in built.items()}
        return tensors

    def resolve(self, text: str) -> tuple[str, int | None]:
        """The canonical text and its row if the name is known; a plural counts as its singular where only that is."""
        plain = canonical(text)
        for spelling in (plain, " ".join(singular(word) for word in plain.split(" "))):
            row = self._row.get(_name_hash(spelling))
            if row is not None:
                return spelling, row
        return plain, None

    def kernel(self, text: str, row: int | None) -> tuple[npt.NDArray[np.float64], float]:
        """(M,) k(x, i) for one canonical text, and the greatest spelling similarity, in [0, 1]."""
        s = self.settings
        word = self._words.similarities(s.word_features(text))
        ngram = self._ngrams.similarities(s.ngram_features(text))
        form = (np.array(_form(text)) - self._form_mean) / self._form_std
        values = s.bias + s.word * word + s.ngram * ngram + s.structure / FORM_NUMBERS * (self._forms_MS @ form)
        if row is not None:
            values[row] += s.name
        return values, float((word + ngram).max() / 2.0)

    def read(self, text: str) -> Reading:
        """One text, by itself: a row never depends on its neighbours in a batch."""
        plain, row = self.resolve(text)
        weights, similarity = self.kernel(plain, row)
        shift = weights.astype(np.float32) @ self._coefficients_ME
        return Reading(self.mean + shift, row is not None, float(np.linalg.norm(shift)), similarity)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are in no name of the fit."""
        return [word for word in words(canonical(text)) if not self._words.knows(singular(word))]
