"""Asking an encoder: all texts at once, all pictures at once, and a check of what comes back.

Shapes: N texts or pictures, E condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Encoder, ImageEncoder
from tina_framework.prompts.class_prompt import ClassPrompt

__all__ = ["encode_pictures", "encode_texts", "unit_rows"]

Rows = npt.NDArray[np.float32]


def unit_rows(rows_NE: Rows) -> Rows:
    """Rows of length 1; a row of zeros stays (the condition space says what is wrong with it)."""
    lengths = np.linalg.norm(rows_NE, axis=1, keepdims=True)
    unit: Rows = (rows_NE / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def encode_texts(texts: list[str], encoder: Encoder, template: int) -> Rows:
    """(N, E) raw vectors.

    Raises:
        PromptError: no such template, or the encoder refuses a text or gives something else.
    """
    if not isinstance(template, int) or not 0 <= template < len(encoder.templates):
        raise PromptError(
            f"Template number {template!r} does not exist: encoder '{encoder.name}' has {len(encoder.templates)}, counted from 0."
        )
    if not texts:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    return _checked_rows(encoder.encode_text(texts, template=template), len(texts), "names", encoder)


def encode_pictures(prompts: Sequence[ClassPrompt], encoder: Encoder) -> dict[int, Rows]:
    """`id` of a prompt -> raw vectors of its pictures (N, E), for all prompts.

    Raises:
        PromptError: there are pictures, but the encoder reads text only or gives something else.
    """
    shown = {id(prompt): prompt for prompt in prompts if prompt.images}
    if shown and not isinstance(encoder, ImageEncoder):
        label = next(iter(shown.values())).label
        raise PromptError(
            f"The class '{label}' is said with pictures, but encoder '{encoder.name}' reads text only; use one with an "
            "image tower (clip-lite, clip-vit-b-32), or a name."
        )
    found = {id(prompt): np.zeros((0, encoder.dim), dtype=np.float32) for prompt in prompts}
    pictures = [picture for prompt in shown.values() for picture in prompt.images]
    if pictures and isinstance(encoder, ImageEncoder):
        rows = _checked_rows(encoder.encode_images(pictures), len(pictures), "pictures", encoder)
        ends = np.cumsum([len(prompt.images) for prompt in shown.values()])[:-1]
        found |= dict(zip(shown, np.split(rows, ends), strict=True))
    return found


def _checked_rows(rows: Any, number: int, what: str, encoder: Encoder) -> Rows:
    vectors: Rows = np.asarray(rows, dtype=np.float32)
    if vectors.shape != (number, encoder.dim):
        raise PromptError(
            f"Encoder '{encoder.name}' gave an array of shape {vectors.shape} for {number} {what}; "
            f"expected {(number, encoder.dim)}. The encoder is at fault."
        )
    return vectors
