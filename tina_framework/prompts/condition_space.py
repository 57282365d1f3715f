"""`ConditionSpace`: the affine map from an encoder's raw vectors to the denoiser's conditions.

Shapes: N rows, E width of the encoder's vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """Map a vector v to (v / |v| - mean) * scale. It is fitted to the training classes and stored with the generator.

    Cosines between CLIP vectors of class names are high (about 0.8), so the mean direction is subtracted. The scale gives
    the entries unit size, which the tokens and the noise have too.

    Args:
        space: id of the encoder space, e.g. ``openai/clip-vit-base-patch32``.
        mean: mean (E,) of the unit vectors.
        scale: positive factor.
        row_retrieval: appends rows of known classes to the conditions; default: nothing is appended.

    Raises:
        DataError: the mean is not a finite vector, or the scale is not a finite number above 0.
    """

    def __init__(self, space: str, mean: Tensor, scale: float, row_retrieval: RowRetrieval | None = None) -> None:
        if mean.dim() != 1 or not bool(mean.isfinite().all()):
            raise DataError(
                f"The mean of a condition space has shape {tuple(mean.shape)}; it must have shape (E,) and be finite."
            )
        if not (math.isfinite(scale) and scale > 0):
            raise DataError(f"The scale of a condition space is {scale}; it must be a finite number above 0.")
        self.space = space
        self.mean = mean.detach().cpu().float()
        self.scale = float(scale)
        self.row_retrieval = row_retrieval

    @property
    def dim(self) -> int:
        """E, the width of the encoder's vectors and of `apply`."""
        return int(self.mean.shape[0])

    @property
    def condition_dim(self) -> int:
        """Width of the denoiser's condition: E, plus 1 for the dissimilarity where rows are retrieved."""
        return self.dim + (self.row_retrieval is not None)

    @property
    def input_dim(self) -> int:
        """Width of `denoiser_input`: E, or E + 1 + D where rows of width D are retrieved."""
        return self.dim + (0 if self.row_retrieval is None else self.row_retrieval.num_appended)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors to store. The scale and the settings of the row retrieval belong in the configuration."""
        rows = {} if self.row_retrieval is None else self.row_retrieval.state_dict()
        # "recall" is the file format's word for row retrieval.
        return {"mean": self.mean, **{f"recall.{name}": tensor for name, tensor in rows.items()}}

    @classmethod
    def fit(cls, space: str, raw_vectors: npt.NDArray[np.float32]) -> ConditionSpace:
        """Fit the mean and the scale to raw vectors.

        The scale makes the average length of (v / |v| - mean) sqrt(E).

        Args:
            space: id of the encoder space.
            raw_vectors: (N, E), of at least two different directions.

        Raises:
            DataError: all rows have the same direction.
            PromptError: a row is zero or not finite.
        """
        unit = _unit(raw_vectors)
        mean = unit.mean(axis=0)
        spread = float(np.linalg.norm(unit - mean, axis=1).mean())
        if spread < _LEAST_SPREAD:
            raise DataError(
                f"All {len(unit)} vectors of '{space}' have the same direction; a condition space needs different ones."
            )
        return cls(space, torch.from_numpy(mean).float(), math.sqrt(unit.shape[1]) / spread)

    def denoiser_input(self, raw_vectors: npt.NDArray[np.float32]) -> Tensor:
        """Return what the denoiser reads (N, `input_dim`) for raw vectors (N, E): `apply`, and retrieved rows if there are any.

        Raises:
            PromptError: as in `apply`.
        """
        conditions = self.apply(raw_vectors)
        return conditions if self.row_retrieval is None else self.row_retrieval.append_rows(conditions)

    def denoiser_inputs(self, tasks: Sequence[npt.NDArray[np.float32]]) -> Tensor:
        """Return `denoiser_input` of B tasks with equal class counts: (B, K, `input_dim`), with the same bits as one by one.

        Raises:
            PromptError: as in `apply`, for the first task that is refused.
        """
        if self.row_retrieval is None:
            try:
                return self.apply(np.concatenate(tasks)).view(len(tasks), -1, self.dim)
            except (PromptError, ValueError):
                pass  # one by one, so that the message counts the vectors of one task
        # Products of matrices round differently for other numbers of rows, so rows are retrieved for one task at a time.
        return torch.stack([self.denoiser_input(task) for task in tasks])

    def apply(self, raw_vectors: npt.NDArray[np.float32]) -> Tensor:
        """Return float32 conditions (N, E) on the CPU for raw vectors (N, E) of any length.

        Raises:
            PromptError: the width is wrong, or a row is zero or not finite.
        """
        if raw_vectors.ndim != 2 or raw_vectors.shape[1] != self.dim:
            raise PromptError(
                f"The encoder returned vectors of shape {raw_vectors.shape}, but the space '{self.space}' has width "
                f"{self.dim}; use an encoder of that space."
            )
        shifted = (_unit(raw_vectors) - self.mean.numpy().astype(np.float64)) * self.scale
        return torch.from_numpy(shifted.astype(np.float32))


def _unit(raw_vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Divide rows by their lengths, in double precision."""
    vectors = np.asarray(raw_vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        row = int(np.flatnonzero(~(np.isfinite(norms) & (norms > 0)).ravel())[0])
        raise PromptError(
            f"The encoder's vector number {row} is zero or not finite, so it has no direction; check the class or the encoder."
        )
    unit: npt.NDArray[np.float64] = vectors / norms
    return unit
