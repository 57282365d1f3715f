"""Encoder vectors of class names, for the methods. Shapes: N names, E condition width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError

if TYPE_CHECKING:
    from tina_framework.interfaces.encoder import Encoder

__all__ = ["encode_known", "unit"]

Vectors = npt.NDArray[np.float32]


def encode_known(encoder: Encoder, names: Sequence[str], template: int = 0) -> tuple[tuple[str, ...], Vectors]:
    """Return those of the names that the encoder knows, and their raw vectors (N, E)."""
    try:
        return tuple(names), np.asarray(encoder.encode_text(names, template=template), dtype=np.float32)
    except PromptError:
        pass  # at least one name is unknown; encode them one by one to find out which
    known: list[str] = []
    rows: list[Any] = []
    for name in names:
        try:
            rows.append(np.asarray(encoder.encode_text([name], template=template), dtype=np.float32)[0])
        except PromptError:
            continue
        known.append(name)
    return tuple(known), np.stack(rows) if rows else np.zeros((0, encoder.dim), dtype=np.float32)


def unit(vectors: Vectors) -> Vectors:
    """Return the rows divided by their lengths."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    rows: Vectors = vectors / lengths
    return rows
