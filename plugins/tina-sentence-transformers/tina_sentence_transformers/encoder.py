"""``sentence-transformers`` and ``sentence-transformers:FOLDER``: a sentence model and a projection into a generator's space.

Shapes: N texts, D width of the sentence vectors, E width of the space.
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
from tina_framework.storage.paths import user_path
from tina_sentence_transformers.model import SentenceModel, find_model
from tina_sentence_transformers.projection import Projection, read_header, read_projection

__all__ = ["SentenceTransformersEncoder"]

_RECENT = 2000
"""Number of sentence vectors that are kept (6 MB)."""


class SentenceTransformersEncoder:
    """An encoder of any text. The model is loaded, or downloaded from the Hub, when something is first encoded.

    Args:
        folder: folder that ``tina fit-projection`` wrote; default: the projection in this package, for all-MiniLM-L6-v2.

    Attributes:
        name: ``sentence-transformers``, or ``sentence-transformers:FOLDER``.
        dim: E.
        space: id of the space that the projection was fitted to.
        templates: prompt templates of that space. The sentence model reads each name in the template.

    Raises:
        CheckpointError: the folder has no projection (on construction), or an altered one (on first use).
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.name = "sentence-transformers" if folder is None else f"sentence-transformers:{folder}"
        self._folder = _shipped() if folder is None else user_path(folder)
        self._header = read_header(self._folder)
        self.dim, self.space, self.templates = self._header.dim, self._header.space, self._header.templates
        self._recent: dict[str, npt.NDArray[np.float64]] = {}

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the expected vectors (N, E) of texts. For a text of unclear meaning this is close to the mean of all names.

        Texts are encoded one by one. So a row does not depend on the other texts, not even by rounding.

        Raises:
            PromptError: a text is empty, or the template does not exist.
            DependencyError: sentence-transformers, or the package with the model, is not installed.
            DownloadError: a Hub model is not on this machine and cannot be downloaded.
            CheckpointError: the projection or the model is damaged, or the projection was fitted for another model.
        """
        part, rows = self._embedded(texts, template)
        if not rows:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.concatenate([part.fit.predict(row) for row in rows]).astype(np.float32)

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the expected cosines (N,) with the true vectors, after subtracting the mean; clipped to [0, 1].

        For the text of a landmark it is the cosine of the landmark's own row. For others it is a linear estimate, fitted to
        rows that cross-validation left out. The first template is used. Raises as `encode_text`.
        """
        part, rows = self._embedded(texts, 0)
        if not rows:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate([part.expected_cosine(row) for row in rows]).astype(np.float32)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words that the sentence model's vocabulary lacks, so that it reads them in pieces. Raises as `encode_text`."""
        return self._model.unknown_words(texts)

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the sentence vectors (N, D). Their cosines measure similarity of meaning better than those of the projection.

        Raises as `encode_text`.
        """
        _, rows = self._embedded(texts, template)
        if not rows:
            return np.zeros((0, self._header.model_dim), dtype=np.float32)
        return np.concatenate(rows).astype(np.float32)

    def _embedded(self, texts: Sequence[str], template: int) -> tuple[Projection, list[npt.NDArray[np.float64]]]:
        """Return the projection of the template, and a sentence vector (1, D) for each text."""
        if not 0 <= template < len(self.templates):
            raise PromptError(
                f"{self.name} has no template number {template}; it has {len(self.templates)}, counted from 0."
            )
        if any(not text.strip() for text in texts):
            raise PromptError("A class name is empty; give a word or remove it.")
        if not texts:
            return self._parts[template], []
        prompts = [self.templates[template].replace("{}", text) for text in texts]
        # Keep recent vectors, because callers ask for the vector, the confidence and the comparison vector of the same prompt.
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
                f"The model '{header.model}' has vectors of width {model.dim}, but '{self._folder}' expects "
                f"{header.model_dim}; fit again with `tina fit-projection`."
            )
        return model

    def __repr__(self) -> str:
        return f"SentenceTransformersEncoder({self.name!r})"


def _shipped() -> Path:
    return Path(str(resources.files("tina_sentence_transformers"))) / "pretrained"
