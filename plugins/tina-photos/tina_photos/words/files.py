"""Read the files of a fitted encoder: ``config.json``, ``lexicon.safetensors`` and ``regression.safetensors``.

Shapes: L known names, D = 384, E width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import CheckpointError
from tina_framework.storage.files import check_tensors, read_hashed
from tina_framework.storage.folders import CONFIG, check_hash, read_config
from tina_photos.words.lexicon import Lexicon
from tina_photos.words.regression import Confidence, Regression, unit

__all__ = ["FORMAT", "FORMAT_VERSION", "LEXICON", "REGRESSION", "Fitted", "read_fitted", "rounded"]

Floats = npt.NDArray[np.float32]

FORMAT, FORMAT_VERSION = "tina-photo-words", 1
LEXICON, REGRESSION = "lexicon.safetensors", "regression.safetensors"
_NEEDS = f"{CONFIG}, {LEXICON} and {REGRESSION}, as plugins/tina-photos/pretraining/fit_words.py writes them"


@dataclass(frozen=True)
class Fitted:
    """The content of the files.

    Attributes:
        lexicon, regression, confidence: the parts.
        known: (L,) cosines of the predictions for known names with their true directions.
        mean: (E,) mean of the unit vectors of the vocabulary.
    """

    lexicon: Lexicon
    regression: Regression
    confidence: Confidence
    known: Floats
    mean: Floats


def read_fitted(folder: Path) -> Fitted:
    """Read and check the files of a folder.

    Raises:
        CheckpointError: a file is missing, damaged or altered.
    """
    config = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
    lexicon = _arrays(folder / LEXICON, config)
    parts = _arrays(folder / REGRESSION, config)
    try:
        return Fitted(
            Lexicon(lexicon),
            Regression(
                parts["means"].astype(np.float32),
                unit(parts["landmarks"].astype(np.float32)),
                parts["weights"].astype(np.float32),
                float(config["gamma"]),
            ),
            Confidence(**{name: float(value) for name, value in config["confidence"].items()}),
            parts["known"].astype(np.float32),
            parts["mean"].astype(np.float32),
        )
    # The hashes fit, so somebody edited the files and renewed them.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"The files in '{folder}' do not fit together ({type(error).__name__}: {error}); restore or rebuild them."
        ) from error


def _arrays(path: Path, config: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    tensors, sha256 = read_hashed(path)
    check_hash(path, config, sha256)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_tensors(tensors, shapes, f"'{path}'")
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def rounded(vectors: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return vectors as bytes, and the scale of each. Bytes times scale are the vectors, apart from rounding."""
    scales = np.maximum(np.abs(vectors).max(axis=-1, keepdims=True), 1e-9) / 127.0
    return np.round(vectors / scales).astype(np.int8), scales[..., 0].astype(np.float32)
