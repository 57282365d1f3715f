"""Encoders turn what a user says about a class (text, pictures) into vectors of a named space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ComparesTexts", "Encoder", "ImageEncoder", "KnowsWords", "StatesConfidence", "Vectors"]

Vectors = npt.NDArray[np.float32]
"""(N, E) float32, raw: the framework itself normalises to unit length, subtracts a mean and scales."""


@runtime_checkable
class Encoder(Protocol):
    """Reads text.

    Attributes:
        name: the registry name, with its argument if it had one (``embedding-table:FILE.npz``).
        dim: E, the width of the vectors.
        space: an id of the vector space, e.g. ``openai/clip-vit-base-patch32``. Encoders of one space are
            interchangeable: a generator records the space, not the encoder.
        templates: the prompt templates it applies, e.g. ``("a {}",)``; recorded with what is trained on it.
    """

    name: str
    dim: int
    space: str
    templates: tuple[str, ...]

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """(N, E) for N class names, with template number `template` applied by the encoder.

        Each row depends on its own text alone, not on the rest of the batch or its order.

        Raises:
            PromptError: a text that this encoder cannot encode at all (a table that lacks the name, say).
        """
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """Has an image tower besides."""

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """(N, E) for N RGB pictures of any size."""
        ...


@runtime_checkable
class ComparesTexts(Protocol):
    """Has a measure of likeness that is better than the cosine of its text vectors: one that carries a sentence model's vectors over
    into the space of another model, say, where some of what they say is lost.
    """

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """(N, D) for N texts, D any width: the cosine of two says how alike their meanings are."""
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """Can say which words it has never met as such. What is no word to it and nearly a known name is read as that name."""

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """The words of all texts that it has no entry for, each once; rare words may be among them."""
        ...


@runtime_checkable
class StatesConfidence(Protocol):
    """Knows how far its own text vectors can be trusted."""

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) in [0, 1]: the cosine to the true vector that is to be expected (mean subtracted)."""
        ...
