"""The affine map from an encoder's raw vectors to what the denoiser reads.

Shapes: N rows, E condition width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.errors import DataError, PromptError

if TYPE_CHECKING:
    from tina_framework.prompts.row_retrieval import RowRetrieval

__all__ = ["ConditionSpace"]

_LEAST_SPREAD = 1e-6


class ConditionSpace:
    """(unit(v) - mean) * scale, fitted once on the training vocabulary and kept with the generator.

    Raw cosines between class names are high in CLIP (about 0.8), so the mean direction is taken off; the scale then
    gives the entries unit size, as the tokens and the noise beside them have.

    Args:
        space: id of the encoder space, e.g. ``openai/clip-vit-base-patch32``.
        mean: (E,) mean of the unit vectors.
        scale: positive factor.
        recall: what is known about classes already, to be appended; None: nothing is.
    """

    def __init__(self, space: str, mean: Tensor, scale: float, row_retrieval: RowRetrieval | None = None) -> None:
        if mean.dim() != 1 or not bool(mean.isfinite().all()):
            raise DataError(
                f"A condition space needs a finite mean of shape (E,), not one of shape {tuple(mean.shape)}."
            )
        if not (math.isfinite(scale) and scale > 0):
            raise DataError(f"The scale of a condition space is {scale}; it must be a number above 0.")
        self.space = space
        self.mean = mean.detach().cpu().float()
        self.scale = float(scale)
        self.row_retrieval = row_retrieval

    @property
    def dim(self) -> int:
        """E: width of the encoder's vectors, and of `apply`."""
        return int(self.mean.shape[0])

    @property
    def condition_dim(self) -> int:
        """Width of a denoiser's condition: E, and one more where rows are recalled (how strange a class is)."""
        return self.dim + (self.row_retrieval is not None)

    @property
    def input_dim(self) -> int:
        """Width of `read`: the condition, and a row where rows are recalled."""
        return self.dim + (0 if self.row_retrieval is None else self.row_retrieval.num_appended)

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors to be stored; scale and the settings of the recall go into the configuration."""
        recalled = {} if self.row_retrieval is None else self.row_retrieval.state_dict()
        return {"mean": self.mean, **{f"recall.{name}": tensor for name, tensor in recalled.items()}}

    @classmethod
    def fit(cls, space: str, raw_vectors: npt.NDArray[np.float32]) -> ConditionSpace:
        """Mean of the unit vectors; scale such that unit(v) - mean has norm sqrt(E) on average over the rows.

        Args:
            space: id of the encoder space.
            raw_vectors: (N, E), at least two different directions.

        Raises:
            DataError: the rows all point the same way.
            PromptError: a row is zero or not finite.
        """
        unit = _unit(raw_vectors)
        mean = unit.mean(axis=0)
        spread = float(np.linalg.norm(unit - mean, axis=1).mean())
        if spread < _LEAST_SPREAD:
            raise DataError(
                f"All {len(unit)} vectors of '{space}' point the same way; a condition space needs different ones."
            )
        return cls(space, torch.from_numpy(mean).float(), math.sqrt(unit.shape[1]) / spread)

    def denoiser_input(self, raw_vectors: npt.NDArray[np.float32]) -> Tensor:
        """(N, E) raw vectors -> (N, `width`) what the denoiser reads: `apply`, and what is recalled. Raises as `apply`."""
        conditions = self.apply(raw_vectors)
        return conditions if self.row_retrieval is None else self.row_retrieval.append_rows(conditions)

    def apply(self, raw_vectors: npt.NDArray[np.float32]) -> Tensor:
        """(N, E) raw vectors of any length -> (N, E) float32 conditions on the CPU.

        Raises:
            PromptError: the width is wrong, or a row is zero or not finite.
        """
        if raw_vectors.ndim != 2 or raw_vectors.shape[1] != self.dim:
            raise PromptError(
                f"The encoder gave vectors of shape {raw_vectors.shape}, but the space '{self.space}' has width "
                f"{self.dim}; use an encoder of that space."
            )
        shifted = (_unit(raw_vectors) - self.mean.numpy().astype(np.float64)) * self.scale
        return torch.from_numpy(shifted.astype(np.float32))


def _unit(raw_vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Rows divided by their lengths, in double precision."""
    vectors = np.asarray(raw_vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        row = int(np.flatnonzero(~(np.isfinite(norms) & (norms > 0)).ravel())[0])
        raise PromptError(f"The encoder's vector number {row} is zero or not finite; it says nothing about its class.")
    unit: npt.NDArray[np.float64] = vectors / norms
    return unit
