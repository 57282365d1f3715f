"""Kernel ridge regression from two cosines to a vector, and the cosine with the true vector that can be expected.

With the two unit vectors x1, x2 of a text, after the means of the known names were subtracted, and those of known name i, z1 and z2:

    k_i(x) = exp(gamma (mean(x1 . z1, x2 . z2) - 1)),    direction(x) = k(x) A

where A = (K + ridge I)^-1 Y, with K of the known names among themselves, and Y their true directions (Rasmussen and Williams,
*Gaussian Processes for Machine Learning*, 2006, equation 2.25).

Shapes: N texts, L known names, D width of the vectors of texts, E width of the space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Confidence", "Regression", "unit"]

Floats = npt.NDArray[np.float32]

_SAME = 0.999
"""A mean cosine above this is the known name itself. It is not quite 1, because known names are stored as bytes."""


@dataclass(frozen=True)
class Confidence:
    """Coefficients of the expected cosine, fitted to names that cross-validation left out.

    expected cosine = intercept + length * |direction(x)| + similarity * (greatest k_i(x))
    """

    intercept: float
    length: float
    similarity: float


@dataclass(frozen=True)
class Regression:
    """A fitted regression.

    Attributes:
        means: (2, D), subtracted from the vectors of texts.
        landmarks: (L, 2, D), of the known names.
        weights: (L, E), A.
        gamma: of the kernel.
    """

    means: Floats
    landmarks: Floats
    weights: Floats
    gamma: float

    def centred(self, vectors: Floats) -> Floats:
        """Return (N, 2, D) unit vectors after subtracting the means."""
        return unit(vectors - self.means)

    def kernel(self, centred: Floats) -> Floats:
        """Return k (N, L) for the result of `centred`."""
        width = centred.shape[1] * centred.shape[2]
        cosines = centred.reshape(-1, width) @ self.landmarks.reshape(-1, width).T / centred.shape[1]
        result: Floats = np.exp(self.gamma * (cosines - 1.0))
        return result

    def is_known(self, kernel: Floats) -> npt.NDArray[np.bool_]:
        """Return whether a text (N,) is a known name, for the result of `kernel`."""
        result: npt.NDArray[np.bool_] = kernel.max(axis=1) >= np.exp(self.gamma * (_SAME - 1.0))
        return result

    def expected(self, kernel: Floats, confidence: Confidence) -> Floats:
        """Return expected cosines (N,) in [0, 1] with the true directions, for texts that are not known names."""
        lengths = np.linalg.norm(kernel @ self.weights, axis=1)
        values = confidence.intercept + confidence.length * lengths + confidence.similarity * kernel.max(axis=1)
        result: Floats = np.clip(values, 0.0, 1.0).astype(np.float32)
        return result


def unit(vectors: Floats) -> Floats:
    """Divide the last axis by its lengths. Zeros stay zeros."""
    result: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return result
