"""Ridge regression in closed form from sentence vectors to a generator's space, linear or with a Gaussian kernel.

With features phi(x) of a sentence's unit vector x, the projection is v = mean + phi(x) W,

    W = (Phi' S Phi + r P)^-1 Phi' S (V - mean)

where S are the weights of the rows and r is the ridge.

- Linear: phi(x) = x - mean x, and P = c I with the total variance c of the sentence vectors.
- Kernel: phi(x)_i = exp(-g |x - z_i|^2) for landmarks z_i, and P_ij = phi(z_i)_j. This is the "subset of regressors" of
  Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, equation 8.14.

Shapes: M rows, N texts, L landmarks, F features (D or L), D width of the sentence vectors, E width of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["Fit", "Settings", "cosines", "cross_validate", "fit", "unit"]

Floats = npt.NDArray[np.float64]

RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
WIDTHS = (1.0, 1.6, 2.5)
ANCHOR_WEIGHT = 10.0
"""Weight of an anchor, a row that the prediction must match. Other rows have weight 1."""
FOLDS = 5
_JITTER = 1e-9


@dataclass(frozen=True)
class Settings:
    """Settings of a fit. Cross-validation chooses `width` and `ridge`.

    Attributes:
        landmarks: most landmarks; 0 for a linear map.
        width: g times the mean squared distance of two rows, so that it suits models of any spread.
        ridge: r.
    """

    landmarks: int
    width: float = WIDTHS[0]
    ridge: float = RIDGES[0]


@dataclass(frozen=True)
class Fit:
    """A fitted projection.

    Attributes:
        origin_LD: the landmarks; for a linear fit the mean sentence vector (1, D).
        gamma: g; 0 for a linear fit.
        weight_FE: W.
        mean_E: mean unit vector of the rows.
    """

    origin_LD: Floats
    gamma: float
    weight_FE: Floats
    mean_E: Floats

    def features(self, x_ND: Floats) -> Floats:
        """Return phi (N, F) for sentence vectors (N, D)."""
        return _features(x_ND, self.origin_LD, self.gamma)

    def predict(self, x_ND: Floats) -> Floats:
        """Return the expected vectors (N, E) for sentence vectors (N, D)."""
        result: Floats = self.mean_E + self.features(x_ND) @ self.weight_FE
        return result


def _features(x_ND: Floats, origin_LD: Floats, gamma: float) -> Floats:
    if not gamma:
        return x_ND - origin_LD
    squares = (x_ND**2).sum(axis=1)[:, None] + (origin_LD**2).sum(axis=1)[None]
    result: Floats = np.exp(-gamma * np.maximum(squares - 2.0 * x_ND @ origin_LD.T, 0.0))
    return result


def unit(vectors: Floats) -> Floats:
    """Divide rows by their lengths."""
    result: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return result


def cosines(predicted_NE: Floats, true_NE: Floats, mean_E: Floats) -> Floats:
    """Return cosines (N,) between unit vectors after subtracting the mean, as a generator compares conditions."""
    result: Floats = (unit(unit(predicted_NE) - mean_E) * unit(unit(true_NE) - mean_E)).sum(axis=1)
    return result


def fit(x_MD: Floats, v_ME: Floats, settings: Settings, anchor_M: npt.NDArray[np.bool_]) -> Fit:
    """Fit a projection.

    Args:
        x_MD: unit sentence vectors. Landmarks are all anchors, and then the first other rows.
        v_ME: unit vectors of the space.
        settings: of the fit.
        anchor_M: rows that are always landmarks and have the weight `ANCHOR_WEIGHT`.
    """
    return _fits(x_MD, v_ME, settings, anchor_M, [settings.ridge])[0]


def _fits(
    x_MD: Floats, v_ME: Floats, settings: Settings, anchor_M: npt.NDArray[np.bool_], ridges: Sequence[float]
) -> list[Fit]:
    mean_E = v_ME.mean(axis=0)
    if settings.landmarks:
        spread = float(x_MD.var(axis=0).sum() * 2.0)  # The mean squared distance of two rows.
        gamma = settings.width / max(spread, 1e-9)
        order = np.concatenate([np.flatnonzero(anchor_M), np.flatnonzero(~anchor_M)])
        # Round to the stored precision before the fit, so that storing adds no error.
        origin = x_MD[order[: max(settings.landmarks, int(anchor_M.sum()))]].astype(np.float16).astype(np.float64)
        penalty = _features(origin, origin, gamma)
    else:
        gamma = 0.0
        origin = x_MD.mean(axis=0, keepdims=True)
        penalty = np.eye(x_MD.shape[1]) * float(x_MD.var(axis=0).sum())
    phi_MF = _features(x_MD, origin, gamma)
    weighted_MF = phi_MF * np.where(anchor_M, ANCHOR_WEIGHT, 1.0)[:, None]
    gram, moments = weighted_MF.T @ phi_MF, weighted_MF.T @ (v_ME - mean_E)
    jitter = _JITTER * float(np.trace(gram)) / len(gram) * np.eye(len(gram))
    return [Fit(origin, gamma, np.linalg.solve(gram + ridge * penalty + jitter, moments), mean_E) for ridge in ridges]


def cross_validate(
    x_MD: Floats, v_ME: Floats, landmarks: int, anchor_M: npt.NDArray[np.bool_], fold_M: npt.NDArray[np.intp]
) -> tuple[Settings, Floats, Floats, Floats]:
    """Choose width and ridge by the mean cosine in cross-validation. Anchors do not count.

    Args:
        x_MD, v_ME, anchor_M: as in `fit`.
        landmarks: most landmarks; 0 for a linear map.
        fold_M: fold of each row, from 0 to `FOLDS` - 1.

    Returns:
        The settings, and three values for each row from the fit without its fold: cosines (M,), distances (M,) of the
        prediction from the mean, and similarities (M,) to the nearest landmark (zeros if linear).
    """
    best: tuple[float, Settings, tuple[Floats, Floats, Floats]] | None = None
    for width in WIDTHS if landmarks else WIDTHS[:1]:
        base = Settings(landmarks, width)
        found = np.zeros((len(RIDGES), 3, len(x_MD)))
        for number in range(FOLDS):
            left_out = fold_M == number
            if not left_out.any():
                continue
            seen = ~left_out
            for place, fitted in enumerate(_fits(x_MD[seen], v_ME[seen], base, anchor_M[seen], RIDGES)):
                predicted = fitted.predict(x_MD[left_out])
                found[place, 0, left_out] = cosines(predicted, v_ME[left_out], fitted.mean_E)
                found[place, 1:, left_out] = np.stack(signs(fitted, x_MD[left_out]), axis=1)
        for place, ridge in enumerate(RIDGES):
            counted = ~anchor_M if not anchor_M.all() else anchor_M
            score = float(found[place, 0, counted].mean())
            if best is None or score > best[0]:
                best = score, replace(base, ridge=ridge), (found[place, 0], found[place, 1], found[place, 2])
    assert best is not None
    return best[1], *best[2]


def signs(fitted: Fit, x_ND: Floats) -> tuple[Floats, Floats]:
    """Return the inputs of the confidence: distances (N,) from the mean, and similarities (N,) to the nearest landmark."""
    phi = fitted.features(x_ND)
    lengths: Floats = np.linalg.norm(phi @ fitted.weight_FE, axis=1)
    return lengths, phi.max(axis=1) if fitted.gamma else np.zeros(len(x_ND))
