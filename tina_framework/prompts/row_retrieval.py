"""Retrieve rows of a generic model's last layer for classes, as additional input of the denoiser.

A class of the generic model gets its own row. Any other class gets a row estimated from similar classes.

Shapes: N requested classes, S classes of the generic model, E condition width, D row width in token space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import DataError

__all__ = ["STRENGTH", "TEMPERATURE", "RowRetrieval", "dissimilarity"]

TEMPERATURE = 50.0
"""Factor on the cosines before the softmax, so strictly an inverse temperature: a greater value favours the nearest class.

It was chosen by leave-one-out over the classes of the generic model."""

STRENGTH = 3.0
"""Penalty of the ridge regression, as a multiple of trace(K K^T) / E for keys K. It was chosen by leave-one-out, too."""

_MAX_REGRESSION_WEIGHT = 0.5
"""Weight of the regression for a class unlike all known ones. The average of known rows has the rest."""

_RANGE = 0.3
"""Distance from cosine 1 at which a class counts as fully unknown."""


def dissimilarity(similarity_N: Tensor) -> Tensor:
    """Map the greatest cosine (N,) with a known class to [0, 1]: 0 for a known class, 1 at a cosine of 0.7 or less."""
    return ((1.0 - similarity_N) / _RANGE).clamp(0.0, 1.0)


class RowRetrieval:
    """Estimate the rows of classes from their conditions and the rows of known classes.

    Two estimates are blended:

    - an average of the known rows, weighted by a softmax over cosines, so that a known class gets its own row;
    - a ridge regression from condition to row, which can also extrapolate.

    The weight of the regression grows with `dissimilarity`, from 0 for known classes to one half. In training, some known
    classes are treated as unknown: their rows are estimated from the other classes. So the denoiser learns to use
    estimated rows.

    The condition of a class is multiplied by 1 - dissimilarity. Otherwise the denoiser would write an unknown class like
    the training class nearest to it. The denoiser also reads the dissimilarity, and adds the retrieved row to its output
    (`DenoiserConfig.given_row`).

    Args:
        keys_SE: conditions of the known classes.
        rows_SD: rows of the known classes, in token space.
        temperature: factor on the cosines before the softmax, see `TEMPERATURE`.
        strength: penalty of the ridge regression, see `STRENGTH`.

    Raises:
        DataError: the shapes do not match, a value is not finite, or there are fewer than two classes.
    """

    def __init__(
        self, keys_SE: Tensor, rows_SD: Tensor, temperature: float = TEMPERATURE, strength: float = STRENGTH
    ) -> None:
        if keys_SE.dim() != 2 or rows_SD.dim() != 2 or len(keys_SE) != len(rows_SD) or len(keys_SE) < 2:
            raise DataError(
                f"Row retrieval got conditions of shape {tuple(keys_SE.shape)} and rows of shape {tuple(rows_SD.shape)}; give one "
                "of each for at least two classes."
            )
        if not (keys_SE.isfinite().all() and rows_SD.isfinite().all()):
            raise DataError(
                "A condition or row for row retrieval is not finite; check the generic model and the encoder."
            )
        if not (0 < temperature < math.inf and 0 < strength < math.inf):
            raise DataError(
                f"Row retrieval has temperature {temperature} and strength {strength}; both must be finite numbers above 0."
            )
        self.keys_SE = keys_SE.detach().cpu().float()
        self.rows_SD = rows_SD.detach().cpu().float()
        self.temperature, self.strength = float(temperature), float(strength)
        self._unit_SE = F.normalize(self.keys_SE, dim=1)
        self._mean_D = self.rows_SD.mean(dim=0)
        keys = self.keys_SE.double()
        gram_SS = keys @ keys.T
        # The penalty of `ridge_regression` in training/initialization.py, in the dual form: trace / E on the diagonal.
        penalty = self.strength * gram_SS.trace() / keys.shape[1]
        inverse_SS = torch.linalg.inv(gram_SS + penalty * torch.eye(len(keys), dtype=torch.float64))
        coefficients_SD = inverse_SS @ (self.rows_SD - self._mean_D).double()
        self._coefficients_SD = coefficients_SD.float()
        # Leaving class i out changes the prediction at x by (k(x) H_i) a_i / H_ii, with H the inverse and a the coefficients
        # (block matrix inversion). This is exact except for the mean row, which still contains class i.
        self._leave_SS = (inverse_SS / inverse_SS.diagonal()).float()

    @property
    def num_appended(self) -> int:
        """How many numbers `append_rows` appends to a condition: D + 1."""
        return self.rows_SD.shape[1] + 1

    def similarity(self, condition_NE: Tensor) -> Tensor:
        """Return the greatest cosine (N,) of each condition with one of a known class."""
        return (F.normalize(condition_NE, dim=1) @ self._unit_SE.T).amax(dim=1)

    def retrieve(self, condition_NE: Tensor, left_out_NS: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the retrieved rows (N, D) and the `similarity` (N,).

        Args:
            condition_NE: conditions.
            left_out_NS: bool, True where known class s must not be used for class n. At least one s must remain for each n.
        """
        cosine_NS = F.normalize(condition_NE, dim=1) @ self._unit_SE.T
        kernel_NS = condition_NE @ self.keys_SE.T
        regressed_ND = self._mean_D + kernel_NS @ self._coefficients_SD
        if left_out_NS is not None:
            cosine_NS = cosine_NS.masked_fill(left_out_NS, -math.inf)
            # The corrections are added up: exact for one left-out class, and close for several that differ from each other.
            regressed_ND = regressed_ND - ((kernel_NS @ self._leave_SS) * left_out_NS) @ self._coefficients_SD
        similarity_N = cosine_NS.amax(dim=1)
        averaged_ND = (self.temperature * cosine_NS).softmax(dim=1) @ self.rows_SD
        blend_N = _MAX_REGRESSION_WEIGHT * dissimilarity(similarity_N)
        return torch.lerp(averaged_ND, regressed_ND, blend_N[:, None]), similarity_N

    def append_rows(self, condition_NE: Tensor, left_out_NS: Tensor | None = None) -> Tensor:
        """Return (N, E + 1 + D): the scaled conditions, the `dissimilarity`, and the rows of `retrieve`. Arguments as there."""
        rows_ND, similarity_N = self.retrieve(condition_NE, left_out_NS)
        dissimilarity_N1 = dissimilarity(similarity_N)[:, None]
        return torch.cat([condition_NE * (1.0 - dissimilarity_N1), dissimilarity_N1, rows_ND], dim=1)

    def settings(self) -> dict[str, float | int]:
        """Return what a generator's configuration stores about it."""
        return {"classes": len(self.keys_SE), "temperature": self.temperature, "strength": self.strength}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors to store. `from_tensors` with these and the two settings makes an equal object."""
        return {"keys": self.keys_SE, "rows": self.rows_SD}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], temperature: float, strength: float) -> RowRetrieval:
        """Make it from the tensors of `state_dict` and the two settings."""
        return cls(tensors["keys"], tensors["rows"], temperature, strength)
