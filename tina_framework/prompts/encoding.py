"""Call an encoder with all texts or all pictures at once, and check what it returns.

Shapes: N texts or pictures, E width of the encoder's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError, shorten
from tina_framework.interfaces.encoder import Encoder, ImageEncoder
from tina_framework.prompts.class_prompt import ClassPrompt

__all__ = ["encode_pictures", "encode_texts", "unit_rows"]

Rows = npt.NDArray[np.float32]


def unit_rows(rows_NE: Rows) -> Rows:
    """Return rows of length 1. A row of zeros stays unchanged; `ConditionSpace.apply` refuses it with a clear message."""
    lengths = np.linalg.norm(rows_NE, axis=1, keepdims=True)
    unit: Rows = (rows_NE / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def encode_texts(texts: list[str], encoder: Encoder, template: int) -> Rows:
    """Return the raw vectors (N, E) of texts.

    Args:
        texts: N texts; none gives an array (0, E).
        encoder: encodes them.
        template: index of its prompt template.

    Raises:
        PromptError: the template does not exist, the encoder cannot read a text, or it returns an array of another shape.
    """
    if not isinstance(template, int) or not 0 <= template < len(encoder.templates):
        raise PromptError(
            f"Template number {template!r} does not exist: encoder '{encoder.name}' has {len(encoder.templates)}, counted from 0."
        )
    if not texts:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    return _checked_rows(encoder.encode_text(texts, template=template), len(texts), "names", encoder)


def encode_pictures(prompts: Sequence[ClassPrompt], encoder: Encoder) -> dict[int, Rows]:
    """Return the raw vectors (N, E) of each prompt's pictures, by the prompt's `id`.

    One prompt may occur in many tasks. Its pictures are encoded once.

    Raises:
        PromptError: the encoder cannot read pictures, or returns an array of another shape.
    """
    shown = {id(prompt): prompt for prompt in prompts if prompt.images}
    if shown and not isinstance(encoder, ImageEncoder):
        label = next(iter(shown.values())).label
        raise PromptError(
            f"The class {shorten(label)} has pictures, but encoder '{encoder.name}' reads text only; use an encoder with an image "
            "tower (clip-lite, clip-vit-b-32), or give a name."
        )
    found = {id(prompt): np.zeros((0, encoder.dim), dtype=np.float32) for prompt in prompts}
    pictures = [picture for prompt in shown.values() for picture in prompt.images]
    if pictures and isinstance(encoder, ImageEncoder):
        rows = _checked_rows(encoder.encode_images(pictures), len(pictures), "pictures", encoder)
        ends = np.cumsum([len(prompt.images) for prompt in shown.values()])[:-1]
        found |= dict(zip(shown, np.split(rows, ends), strict=True))
    return found


def _checked_rows(rows: Any, number: int, what: str, encoder: Encoder) -> Rows:
    # An encoder may be a third party's, and a wrong shape would otherwise fail far away from here.
    vectors: Rows = np.asarray(rows, dtype=np.float32)
    if vectors.shape != (number, encoder.dim):
        raise PromptError(
            f"Encoder '{encoder.name}' returned an array of shape {vectors.shape} for {number} {what}, but "
            f"{(number, encoder.dim)} was expected. This is an error of the encoder; report it there."
        )
    return vectors
