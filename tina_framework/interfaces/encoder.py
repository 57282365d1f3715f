"""Encoders turn the description of a class, text or pictures, into vectors of a named space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ComparesTexts", "Encoder", "ImageEncoder", "KnowsWords", "StatesConfidence", "Vectors"]

Vectors = npt.NDArray[np.float32]
"""(N, E) float32, not normalised: the framework scales them to unit length, subtracts a mean and scales again."""


@runtime_checkable
class Encoder(Protocol):
    """The contract of every encoder: it reads text.

    Attributes:
        name: the registry name, with its argument if it had one (``embedding-table:FILE.npz``).
        dim: E, the width of the vectors.
        space: an id of the vector space, e.g. ``openai/clip-vit-base-patch32``. Encoders of one space are
            interchangeable: a generator records the space, not the encoder.
        templates: the prompt templates it applies, e.g. ``("a {}",)``; recorded with what is trained on it.

    A class may also have ``self_contained = True``. It promises that an encoder made without an argument uses neither the
    network nor files outside of its package. A generator's folder can only choose such encoders. Users name all others
    themselves, with ``--encoder`` or ``encoder=``, because anybody may have written a folder. A generator that a plugin
    registers may also choose any encoder of the same plugin.
    """

    name: str
    dim: int
    space: str
    templates: tuple[str, ...]

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return (N, E) for N class names, each put into template number `template`.

        Each row depends on its own text alone, not on the other texts or their order.

        Raises:
            PromptError: a text that this encoder cannot encode, for instance a name that its table lacks.
        """
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """An encoder that also reads pictures."""

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return (N, E) for N RGB pictures of any size."""
        ...


@runtime_checkable
class ComparesTexts(Protocol):
    """An encoder with a better measure of similarity than the cosine of its text vectors.

    For instance, an encoder may project the vectors of a sentence model into the space of another model. The projection
    loses information, so texts are better compared by the vectors before it.
    """

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return (N, D) for N texts, with any width D. The cosine of two rows says how similar their meanings are."""
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """An encoder that knows which words it has never seen. An unknown word that nearly equals a known name is read as that name."""

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words of all texts that the encoder has no entry for, each once. Rare words may be among them."""
        ...


@runtime_checkable
class StatesConfidence(Protocol):
    """An encoder that estimates how reliable its text vectors are."""

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (N,) in [0, 1]: the expected cosine between each vector and the true one, after the mean is subtracted."""
        ...
