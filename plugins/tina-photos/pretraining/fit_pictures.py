"""Fit the map from features of photographs to text vectors, with which the encoder ``photo-words`` reads pictures.

A ridge regression first tells which class row belongs to a text vector, from the 1,000 rows of the frozen network's own last layer and
the vectors of their labels. The map is its inverse, in the sense of least squares: the vector whose row is nearest to the features.
Directly regressing vectors on rows is worse: 77.8 % against 80.0 % with one picture a class, 91.2 % against 92.2 % with five.

    python plugins/tina-photos/pretraining/fit_pictures.py --vectors clip_b32_vocab_a.npz --pictures caltech_photos \
        --out plugins/tina-photos/tina_photos/pretrained/pictures/pictures.safetensors

Shapes: S = 1,000 labels, F = 1,280 features, E = 512.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tina_framework.images import Preprocessing, class_folders, picture_files
from tina_framework.storage.files import write_safetensors
from tina_framework.storage.paths import user_path
from tina_framework.targets.trunk import trunk_features
from tina_photos.architecture import photo_head
from tina_photos.weights import imagenet_head

__all__ = ["INVERSE_PENALTY", "PENALTY", "features_mean", "fit_map", "main"]

Floats = npt.NDArray[np.float64]

PENALTY = 1.0
"""Of the regression from text vectors to rows. Chosen on the classes that `features_mean` reads, as the next one."""

INVERSE_PENALTY = 0.01


def fit_map(rows_SF: Floats, vectors_SE: Floats, penalty: float = PENALTY, inverse: float = INVERSE_PENALTY) -> Floats:
    """Return the map (F, E).

    Args:
        rows_SF: class rows, centred and of length 1.
        vectors_SE: text vectors, centred and of length 1.
        penalty: of the regression from vectors to rows.
        inverse: of its inversion.
    """
    eye = np.eye(vectors_SE.shape[1])
    to_rows_EF = np.linalg.solve(vectors_SE.T @ vectors_SE + penalty * eye, vectors_SE.T @ rows_SF)
    return np.linalg.solve(to_rows_EF @ to_rows_EF.T + inverse * eye, to_rows_EF).T


def features_mean(folder: Path) -> Floats:
    """Return the mean (F,) of the unit features of the photographs of every other class, in sorted order."""
    architecture = photo_head()
    look = Preprocessing.of(architecture)
    files = [file for _, found in sorted(class_folders(folder))[::2] for file in picture_files(found)]
    parts = [trunk_features(architecture, look(pixels)).double() for pixels in look.batches(files, 32)]
    mean: Floats = unit(torch.cat(parts).numpy()).mean(axis=0)
    return mean


def unit(vectors: Floats) -> Floats:
    """Return vectors (..., E) of length 1."""
    result: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help=".npz with source and emb; source imagenet1k")
    parser.add_argument("--pictures", type=Path, required=True, help="folder with one folder a class")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    with np.load(user_path(given.vectors)) as table:
        source, vectors = table["source"], unit(table["emb"].astype(np.float64))
    vectors_mean = vectors.mean(axis=0)
    rows = imagenet_head()[0].double().numpy()
    fitted = fit_map(unit(rows - rows.mean(axis=0)), unit(vectors[source == "imagenet1k"] - vectors_mean))
    mean = features_mean(user_path(given.pictures))
    tensors = {
        "map": torch.from_numpy(fitted).half(),
        "features_mean": torch.from_numpy(mean).half(),
        "vectors_mean": torch.from_numpy(vectors_mean).float(),
    }
    out = user_path(given.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    made_from = (
        "rows of the frozen network's last layer; mean features of half of the classes of Caltech-101 (CC BY 4.0)"
    )
    write_safetensors(out, tensors, {"format": "tina-photo-pictures", "made_from": made_from}, digest=True)


if __name__ == "__main__":
    main()
