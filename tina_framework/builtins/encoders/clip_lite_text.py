"""The text tower of ``clip-lite``: kernel ridge regression from the spelling of a name to CLIP's text vector.

A name is compared with the M names of the fit. Its vector is the mean vector plus a weighted sum of M learnt coefficient rows.
The weights are the similarities

    k(x, i) = w_bias + w_word <word_x, word_i> + w_ngram <ngram_x, ngram_i> + w_structure <s_x, s_i> / S + w_name [x = i]

``word`` and ``ngram`` are unit vectors of tf-idf values, of the words and of the character n-grams of each word with its
boundaries. s are S numbers about a name's length and form. The last term is 1 for an equal name, else 0.

With the coefficients (K + noise I)^-1 (V - mean) this is the posterior mean of a Gaussian process (Rasmussen and Williams,
*Gaussian Processes for Machine Learning*, 2006, equation 2.23). Words are stored as hashes, so that the file has no text.

Shapes: M names of the fit, F features, Z stored (feature, name) pairs, S form numbers, E width of the vectors.
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
from tina_framework.errors import PromptError, shorten

__all__ = ["KernelSettings", "TextTower", "canonical", "singular", "words"]

Floats = npt.NDArray[np.float32]
FORM_NUMBERS = 5

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def canonical(text: str) -> str:
    """Return a text in lower case with single spaces, without hyphens, underscores, slashes and a leading article.

    Raises:
        PromptError: the text has no letter or digit.
    """
    folded = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    folded = " ".join(re.sub(r"[_\-/]", " ", folded).split())
    folded = re.sub(r"^(?:an?|the) (?=\S)", "", folded).rstrip(".!?")
    if not _WORD.search(folded):
        raise PromptError(
            f"Class name {shorten(text)} has no letter or digit; clip-lite needs them, because it reads the spelling."
        )
    return folded


def words(text: str) -> list[str]:
    """Return the words of a canonical text."""
    return _WORD.findall(text)


def singular(word: str) -> str:
    """Return a stem that an English singular and its plural share. It need not be a correct word."""
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(?:s|x|z|ch|sh)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _name_hash(text: str) -> int:
    # 64 bits: a collision among a few thousand names is practically impossible.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _form(text: str) -> list[float]:
    """Return S numbers: two about listed synonyms, two about the length, and one for a remark in brackets."""
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
    """Settings of the kernel.

    Attributes:
        bias, word, ngram, structure, name: weights of its terms.
        noise: variance of the noise that the fit assumes.
        shortest, longest: lengths of the character n-grams.
    """

    bias: float = 1.0
    word: float = 1.0
    ngram: float = 1.0
    structure: float = 0.3
    name: float = 0.5
    noise: float = 0.01
    shortest: int = 1
    longest: int = 6

    def word_features(self, text: str) -> list[str]:
        """Return the stems of the words."""
        return [singular(word) for word in words(text)]

    def ngram_features(self, text: str) -> list[str]:
        """Return the n-grams of each word, with ``<`` and ``>`` as its boundaries."""
        found = []
        for word in words(text):
            marked = f"<{word}>"
            for length in range(self.shortest, self.longest + 1):
                found += [marked[start : start + length] for start in range(len(marked) - length + 1)]
        return found


@dataclass(frozen=True)
class TextEstimate:
    """The estimate for one text.

    Attributes:
        vector: (E,).
        known: whether the text is a name of the fit.
        length: distance of the vector from the mean.
        similarity: spelling similarity to the nearest name of the fit, in [0, 1].
    """

    vector: Floats
    known: bool
    length: float
    similarity: float


class TextTower:
    """Estimate vectors from spelling.

    Args:
        tensors: arrays with the names and shapes of `shapes`, written by ``train_text.py``.
        settings: kernel settings of the fit.
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
        """Return the shapes of a tower's tensors by name.

        Args:
            num_names: M.
            dim: E.
            sizes: kind (``word`` or ``ngram``) -> (F, Z).
        """
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
        """Return all tensors for M canonical names, with coefficients of zero."""
        forms = np.array([_form(text) for text in texts])
        spread = np.maximum(forms.std(axis=0), 1e-6)
        tensors: dict[str, npt.NDArray[Any]] = {
            "mean": mean.astype(np.float32),
            # Half precision halves the largest tensor; the error is far below that of the estimate.
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
        """Return the canonical text, and its row if it is a name of the fit.

        A plural is replaced by its singular if only the singular is a name of the fit.
        """
        plain = canonical(text)
        for spelling in (plain, " ".join(singular(word) for word in plain.split(" "))):
            row = self._row.get(_name_hash(spelling))
            if row is not None:
                return spelling, row
        return plain, None

    def kernel(self, text: str, row: int | None) -> tuple[npt.NDArray[np.float64], float]:
        """Return the kernel values k(x, i) (M,) of a canonical text, and the greatest spelling similarity, in [0, 1]."""
        s = self.settings
        word = self._words.similarities(s.word_features(text))
        ngram = self._ngrams.similarities(s.ngram_features(text))
        form = (np.array(_form(text)) - self._form_mean) / self._form_std
        values = s.bias + s.word * word + s.ngram * ngram + s.structure / FORM_NUMBERS * (self._forms_MS @ form)
        if row is not None:
            values[row] += s.name
        return values, float((word + ngram).max() / 2.0)

    def read(self, text: str) -> TextEstimate:
        """Return the estimate for one text. Texts are read one by one, so that no row depends on the others of a batch."""
        plain, row = self.resolve(text)
        weights, similarity = self.kernel(plain, row)
        shift = weights.astype(np.float32) @ self._coefficients_ME
        return TextEstimate(self.mean + shift, row is not None, float(np.linalg.norm(shift)), similarity)

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that no name of the fit contains."""
        return [word for word in words(canonical(text)) if not self._words.knows(singular(word))]
