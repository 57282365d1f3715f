"""Ridge regression from sentence vectors to a generator's space, linear or with a Gaussian kernel; closed form.

With features phi(x) of a sentence's unit vector x, the projection is v = mean + phi(x) W,

    W = (Phi' S Phi + r P)^-1 Phi' S (V - mean)

linear: phi(x) = x - mean x, P = I; kernel: phi(x)_i = exp(-g |x - z_i|^2) for landmarks z_i, P_ij = phi(z_i)_j, the
"subset of regressors" of Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, equation 8.14. S are
the rows' weights. Shapes: M rows, L landmarks, F features (D or L), D width of the sentence model, E width of the space.
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
"""What a row counts that has to come out as it is."""
FOLDS = 5
_JITTER = 1e-9


@dataclass(frozen=True)
class Settings:
    """What cross-validation chooses, and the greatest number of landmarks: 0 means linear.

    `width` is g times the rows' mean squared distance, so that it fits models of any spread.
    """

    landmarks: int
    width: float = WIDTHS[0]
    ridge: float = RIDGES[0]


@dataclass(frozen=True)
class Fit:
    """A fitted projection.

    Attributes:
        origin_ED: (L, D) landmarks, or (1, D) the mean sentence vector of a linear one.
        gamma: g; 0 if it is linear.
        weight_FE: W.
        mean_E: the mean unit vector of the fit's rows.
    """

    origin_LD: Floats
    gamma: float
    weight_FE: Floats
    mean_E: Floats

    def features(self, x_ND: Floats) -> Floats:
        """(N, F) phi."""
        return _features(x_ND, self.origin_LD, self.gamma)

    def predict(self, x_ND: Floats) -> Floats:
        """(N, E) the expected vectors."""
        result: Floats = self.mean_E + self.features(x_ND) @ self.weight_FE
        return result


def _features(x_ND: Floats, origin_LD: Floats, gamma: float) -> Floats:
    if not gamma:
        return x_ND - origin_LD
    squares = (x_ND**2).sum(axis=1)[:, None] + (origin_LD**2).sum(axis=1)[None]
    result: Floats = np.exp(-gamma * np.maximum(squares - 2.0 * x_ND @ origin_LD.T, 0.0))
    return result


def unit(vectors: Floats) -> Floats:
    """Rows divided by their lengths."""
    result: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return result


def cosines(predicted_NE: Floats, true_NE: Floats, mean_E: Floats) -> Floats:
    """(N,) as conditions are compared: unit vectors less the mean unit vector."""
    result: Floats = (unit(unit(predicted_NE) - mean_E) * unit(unit(true_NE) - mean_E)).sum(axis=1)
    return result


def fit(x_MD: Floats, v_ME: Floats, settings: Settings, anchor_M: npt.NDArray[np.bool_]) -> Fit:
    """The projection of these rows.

    Args:
        x_MD: unit sentence vectors, in an order that says which become landmarks: anchors first, then the rest.
        v_ME: unit vectors of the space.
        settings: of the fit.
        anchor_M: rows that are landmarks for certain and count `ANCHOR_WEIGHT` times.
    """
    return _fits(x_MD, v_ME, settings, anchor_M, [settings.ridge])[0]


def _fits(
    x_MD: Floats, v_ME: Floats, settings: Settings, anchor_M: npt.NDArray[np.bool_], ridges: Sequence[float]
) -> list[Fit]:
    mean_E = v_ME.mean(axis=0)
    if settings.landmarks:
        spread = float(x_MD.var(axis=0).sum() * 2.0)  # the mean squared distance of two rows
        gamma = settings.width / max(spread, 1e-9)
        order = np.concatenate([np.flatnonzero(anchor_M), np.flatnonzero(~anchor_M)])
        # As they will be stored, so that rounding them costs nothing.
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
    """Chooses width and ridge by the mean cosine of rows left out in turn (anchors are not counted).

    Returns:
        Settings; and for the M rows, each by the fit that did not see it: (M,) cosines, (M,) lengths of the predicted
        shift, (M,) similarity with the nearest landmark (zeros if linear).
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
    """What confidence is judged by: (N,) length of the shift off the mean, (N,) similarity with the nearest landmark."""
    phi = fitted.features(x_ND)
    lengths: Floats = np.linalg.norm(phi @ fitted.weight_FE, axis=1)
    return lengths, phi.max(axis=1) if fitted.gamma else np.zeros(len(x_ND))
