"""What is known about a class's row before anything is generated: its own, where the generic model has the class, else what
similar classes have.

Shapes: N classes asked for, S classes of the generic model, E condition width, D width of a row (as tokens have it).
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
"""Factor on the cosines before the softmax. Chosen, like `STRENGTH`, by leaving each class of the generic model out in turn."""

STRENGTH = 3.0
"""Of the ridge regression, relative to the mean squared length of a condition divided by E times S."""

_MOST_BLENDED = 0.5
_STRANGE = 0.3


def dissimilarity(similarity_N: Tensor) -> Tensor:
    """(N,) in [0, 1]: 0 for a class that is known, 1 below a cosine of 0.7 with all that are."""
    return ((1.0 - similarity_N) / _STRANGE).clamp(0.0, 1.0)


class RowRetrieval:
    """Rows of classes from their conditions, by resemblance to the classes of the generic model.

    Two estimates are blended: an average of the known rows, weighted by a softmax over cosines (a class that is known gets
    its own row), and a ridge regression from condition to row, which also goes beyond the rows it knows. The regression has
    half of the weight for classes unlike all known ones and none for known ones. In training some classes are left out: they
    get what they would get if the generic model did not know them, so that the denoiser learns what to make of that.

    A condition that resembles none is faded out: what a denoiser reads into it would be what it has memorised of others. It is
    told that the class is strange, and the recalled row goes past it (`DenoiserConfig.given_row`).

    Args:
        keys_SE: conditions of the known classes.
        rows_SD: their rows, in token space.
        temperature: factor on the cosines before the softmax.
        strength: of the ridge regression.

    Raises:
        DataError: shapes that do not fit, values that are not finite, or fewer than two classes.
    """

    def __init__(
        self, keys_SE: Tensor, rows_SD: Tensor, temperature: float = TEMPERATURE, strength: float = STRENGTH
    ) -> None:
        if keys_SE.dim() != 2 or rows_SD.dim() != 2 or len(keys_SE) != len(rows_SD) or len(keys_SE) < 2:
            raise DataError(
                f"A recall needs conditions and rows of the same two or more classes, not {tuple(keys_SE.shape)} and "
                f"{tuple(rows_SD.shape)}."
            )
        if not (keys_SE.isfinite().all() and rows_SD.isfinite().all()):
            raise DataError("The conditions or rows of a recall are not all finite.")
        if not (0 < temperature < math.inf and 0 < strength < math.inf):
            raise DataError(f"A recall needs temperature and strength above 0, not {temperature} and {strength}.")
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
        # Leaving class i out changes the prediction at x by (k(x) H_i) a_i / H_ii (block inversion; H the inverse, a the
        # coefficients): exact but for the mean row, which keeps its share of class i.
        self._leave_SS = (inverse_SS / inverse_SS.diagonal()).float()

    @property
    def num_appended(self) -> int:
        """How many numbers are appended to a condition: D + 1."""
        return self.rows_SD.shape[1] + 1

    def similarity(self, condition_NE: Tensor) -> Tensor:
        """(N,) the greatest cosine with the condition of a known class."""
        return (F.normalize(condition_NE, dim=1) @ self._unit_SE.T).amax(dim=1)

    def retrieve(self, condition_NE: Tensor, left_out_NS: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Recalled rows (N, D) and familiarity (N,).

        Args:
            condition_NE: conditions.
            left_out_NS: (N, S) bool, True where known class s must not help class n; at least one s must be left.
        """
        cosine_NS = F.normalize(condition_NE, dim=1) @ self._unit_SE.T
        kernel_NS = condition_NE @ self.keys_SE.T
        regressed_ND = self._mean_D + kernel_NS @ self._coefficients_SD
        if left_out_NS is not None:
            cosine_NS = cosine_NS.masked_fill(left_out_NS, -math.inf)
            # One after the other, not jointly: exact where one class is left out, close where these resemble each other little.
            regressed_ND = regressed_ND - ((kernel_NS @ self._leave_SS) * left_out_NS) @ self._coefficients_SD
        similarity_N = cosine_NS.amax(dim=1)
        averaged_ND = (self.temperature * cosine_NS).softmax(dim=1) @ self.rows_SD
        blend_N = _MOST_BLENDED * dissimilarity(similarity_N)
        return torch.lerp(averaged_ND, regressed_ND, blend_N[:, None]), similarity_N

    def append_rows(self, condition_NE: Tensor, left_out_NS: Tensor | None = None) -> Tensor:
        """(N, E + 1 + D): the conditions, faded as far as they are strange; how strange; and the recalled rows. See `rows`."""
        rows_ND, similarity_N = self.retrieve(condition_NE, left_out_NS)
        strange_N1 = dissimilarity(similarity_N)[:, None]
        return torch.cat([condition_NE * (1.0 - strange_N1), strange_N1, rows_ND], dim=1)

    def settings(self) -> dict[str, float | int]:
        """What belongs into a configuration."""
        return {"classes": len(self.keys_SE), "temperature": self.temperature, "strength": self.strength}

    def state_dict(self) -> dict[str, Tensor]:
        """What is stored; `from_tensors` with the two settings gives the same recall."""
        return {"keys": self.keys_SE, "rows": self.rows_SD}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], temperature: float, strength: float) -> RowRetrieval:
        """Inverse of `state_dict`."""
        return cls(tensors["keys"], tensors["rows"], temperature, strength)
