"""``sentence-transformers`` and ``sentence-transformers:FOLDER``: a sentence model and a projection into a generator's space.

Shapes: N texts, D width of the sentence model, E width of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tina_framework.errors import CheckpointError, PromptError
from tina_framework.interfaces.encoder import Vectors
from tina_sentence_transformers.model import SentenceModel, find_model
from tina_sentence_transformers.projection import Projection, read_header, read_projection

__all__ = ["SentenceTransformersEncoder"]

_RECENT = 2000
"""Sentence vectors that are kept (6 MB)."""


class SentenceTransformersEncoder:
    """Reads any text. The model is loaded, and a Hub model fetched, when something is encoded.

    Args:
        folder: written by ``tina fit-projection``; None: the one that ships here, for all-MiniLM-L6-v2.

    Attributes:
        name: ``sentence-transformers``, or ``sentence-transformers:FOLDER``.
        dim: E.
        space: of the vectors that the projection was fitted to.
        templates: of these vectors; the name is put into them before the sentence model reads it.

    Raises:
        CheckpointError: the folder holds no projection (on construction), or an altered one (on first use).
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.name = "sentence-transformers" if folder is None else f"sentence-transformers:{folder}"
        self._folder = _shipped() if folder is None else Path(folder).expanduser()
        self._header = read_header(self._folder)
        self.dim, self.space, self.templates = self._header.dim, self._header.space, self._header.templates
        self._recent: dict[str, npt.NDArray[np.float64]] = {}

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """(N, E): the expected vectors, so that a text of unclear meaning comes close to the mean of all names.

        Texts go through the network one by one: a row is the same to the last bit whatever stands beside it.

        Raises:
            PromptError: an empty text, or no template of that number.
            DependencyError: sentence-transformers, or the package that holds the model, is not installed.
            DownloadError: a Hub model that is not here and cannot be fetched.
            CheckpointError: projection or model are damaged, or the model is not the one of the fit.
        """
        part, rows = self._embedded(texts, template)
        if not rows:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.concatenate([part.fit.predict(row) for row in rows]).astype(np.float32)

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) in [0, 1]: the cosine with the true vector that is to be expected, both less the mean vector.

        For the text of a landmark, what its own row came out with; for others a line fitted to rows that were left out of
        the fit in turn. Under the first template. Raises as `encode_text`.
        """
        part, rows = self._embedded(texts, 0)
        if not rows:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate([part.expected_cosine(row) for row in rows]).astype(np.float32)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """The words that are no token of the sentence model: it reads them in pieces. Raises as `encode_text`."""
        return self._model.unknown_words(texts)

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """(N, D): the sentence model's own vectors, whose cosines say more of likeness than those of the projected ones. Raises as
        `encode_text`.
        """
        _, rows = self._embedded(texts, template)
        if not rows:
            return np.zeros((0, self._header.model_dim), dtype=np.float32)
        return np.concatenate(rows).astype(np.float32)

    def _embedded(self, texts: Sequence[str], template: int) -> tuple[Projection, list[npt.NDArray[np.float64]]]:
        """The template's projection, and (1, D) for each text."""
        if not 0 <= template < len(self.templates):
            raise PromptError(
                f"{self.name} has no template number {template}; it has {len(self.templates)}, counted from 0."
            )
        if any(not text.strip() for text in texts):
            raise PromptError("A class name is empty; write a word or leave it out.")
        if not texts:
            return self._parts[template], []
        prompts = [self.templates[template].replace("{}", text) for text in texts]
        # A prompt is asked for its vector, for its confidence and for what it is compared by: sentence vectors are kept for a while.
        for prompt in prompts:
            if prompt not in self._recent:
                self._recent[prompt] = self._model.embed([prompt])
        rows = [self._recent[prompt] for prompt in prompts]
        for prompt in list(self._recent)[:-_RECENT]:
            del self._recent[prompt]
        return self._parts[template], rows

    @cached_property
    def _parts(self) -> list[Projection]:
        return read_projection(self._folder, self._header)

    @cached_property
    def _model(self) -> SentenceModel:
        header = self._header
        found = find_model(header.model, header.revision, beside=self._folder)
        if found.fingerprint() != header.fingerprint:
            raise CheckpointError(
                f"The model '{header.model}' is not the one that '{self._folder}' was fitted for (its files differ); use that "
                "one, or fit again with `tina fit-projection`."
            )
        model = SentenceModel(found)
        if model.dim != header.model_dim:
            raise CheckpointError(
                f"The model '{header.model}' gives vectors of width {model.dim}, and '{self._folder}' expects "
                f"{header.model_dim}; fit again with `tina fit-projection`."
            )
        return model

    def __repr__(self) -> str:
        return f"SentenceTransformersEncoder({self.name!r})"


def _shipped() -> Path:
    return Path(str(resources.files("tina_sentence_transformers"))) / "pretrained"
