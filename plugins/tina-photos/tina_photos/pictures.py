"""Turn photographs into vectors of CLIP's space, so that pictures can be given in place of names.

The frozen network computes features. A linear map, which ``pretraining/fit_pictures.py`` fitted, turns them into the vector that
names such a class row. No picture tower of CLIP is needed.

Shapes: N pictures, F = 1,280 features, E = 512.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.interfaces.encoder import Vectors
from tina_framework.storage.files import check_tensors, read_digested

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FILE", "PictureMap", "image_vectors", "read_map"]

Floats = npt.NDArray[np.float32]

FILE = Path(__file__).resolve().parent / "pretrained" / "pictures" / "pictures.safetensors"

_SHAPES = {"map": (1280, 512), "features_mean": (1280,), "vectors_mean": (512,)}
_BATCH = 32


class PictureMap:
    """The fitted map from features to vectors.

    Args:
        map: (F, E), from unit features without their mean to unit vectors without theirs.
        features_mean: (F,) mean of the unit features of photographs.
        vectors_mean: (E,) mean of the unit text vectors of a vocabulary.
    """

    def __init__(self, map: Floats, features_mean: Floats, vectors_mean: Floats) -> None:
        self.map = map
        self.features_mean = features_mean
        self.vectors_mean = vectors_mean

    def __call__(self, features: Floats) -> Vectors:
        """Return vectors (N, E) of length 1 for features (N, F)."""
        directions = _unit(_unit(_unit(features) - self.features_mean) @ self.map)
        # |mean + c direction| = 1, as for CLIP's own vectors: c is their usual distance from the mean in this direction.
        along = directions @ self.vectors_mean
        distances = np.sqrt(along**2 + 1.0 - self.vectors_mean @ self.vectors_mean) - along
        vectors: Vectors = (self.vectors_mean + distances[:, None] * directions).astype(np.float32)
        return vectors


def image_vectors(images: Sequence[Image.Image]) -> Vectors:
    """Return vectors (N, E) of length 1, in the space ``openai/clip-vit-base-patch32``, for pictures of any size.

    Less the mean of the vocabulary, a vector has the direction of the text that would name the picture.

    Raises:
        CheckpointError: a file of this package or of the frozen network is missing or altered.
        DependencyError: the package with the frozen network is not installed.
    """
    from tina_framework.images import Preprocessing
    from tina_framework.targets.trunk import trunk_features
    from tina_photos.architecture import photo_head

    fitted = read_map()
    architecture = photo_head()
    look = Preprocessing.of(architecture)
    rows = [np.zeros((0, len(fitted.vectors_mean)), dtype=np.float32)]
    for pixels in look.batches(list(images), _BATCH):
        rows.append(fitted(trunk_features(architecture, look(pixels)).cpu().numpy()))
    return np.concatenate(rows)


@functools.lru_cache(maxsize=2)
def read_map(path: Path = FILE) -> PictureMap:
    """Return the map in a file.

    Raises:
        CheckpointError: the file is missing, damaged or altered.
    """
    tensors, _ = read_digested(path)
    check_tensors(tensors, _SHAPES, f"'{path}'")
    return PictureMap(**{name: tensor.float().numpy() for name, tensor in tensors.items()})


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, 1e-9)
    return unit
