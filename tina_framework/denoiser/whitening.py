"""Mix the elements of weight matrices, so that a step of a given length changes the network equally in all directions.

Shapes: O outputs and I inputs of a layer (channels times kernel positions for a convolution), N parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterInfo, ParameterSpec
from tina_framework.storage.files import check_tensors

__all__ = ["Whitening", "factor_shapes"]


def factor_shapes(spec: ParameterSpec, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the shapes of the factors ``left.NAME`` and ``right.NAME`` of some weights.

    Class rows have no left factor: every class has one row, and rows are treated alike.
    """
    shapes = {}
    for info in spec.parameters(1):
        if info.name in names:
            if info.class_axis is None:
                shapes[f"left.{info.name}"] = (info.shape[0], info.shape[0])
            columns = info.numel // info.shape[0]
            shapes[f"right.{info.name}"] = (columns, columns)
    return shapes


_ASYMMETRY = 1e-2
"""Largest difference of two mirrored elements, as a share of the largest element. Weights stored in bfloat16 have up to 0.004."""


class Whitening:
    """Maps whitened differences Z of a weight (O, I) to differences left Z right, and back.

    Args:
        spec: the architecture's parameters.
        factors: ``left.NAME`` (O, O) and ``right.NAME`` (I, I), symmetric and invertible; see `factor_shapes`.
    """

    def __init__(self, spec: ParameterSpec, factors: Mapping[str, Tensor]) -> None:
        self.spec = spec
        self.factors = {name: factor.float() for name, factor in factors.items()}
        self._on: dict[tuple[bool, torch.device, torch.dtype], dict[str, Tensor]] = {}

    @classmethod
    def from_tensors(cls, spec: ParameterSpec, factors: Mapping[str, Tensor], source: str) -> Whitening:
        """Return the whitening with factors that were stored.

        Args:
            spec: the architecture's parameters.
            factors: ``left.NAME`` and ``right.NAME``.
            source: where they come from, for messages.

        Raises:
            CheckpointError: a factor is missing or unknown, or has another shape; or it is not symmetric with positive
                eigenvalues, as an inverse square root is.
        """
        made = cls(spec, factors)
        check_tensors(factors, factor_shapes(spec, made.names), source)
        for name, factor in made.factors.items():
            wide = factor.double()
            uneven = float((wide - wide.T).abs().max()) > _ASYMMETRY * float(wide.abs().max())
            # A Cholesky factor exists if and only if all eigenvalues are positive, and costs a tenth of them.
            if uneven or int(torch.linalg.cholesky_ex(wide).info):
                what = "is not symmetric" if uneven else "has eigenvalues that are not positive"
                raise CheckpointError(f"{source}: '{name}' {what}; restore or rebuild it.")
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """The weights that have factors."""
        return tuple(name.removeprefix("right.") for name in self.factors if name.startswith("right."))

    def apply(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Convert whitened differences (..., N) to differences (..., N)."""
        return self._mix(flat_BN, num_classes, inverse=False)

    def invert(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Convert differences (..., N) to whitened differences (..., N)."""
        return self._mix(flat_BN, num_classes, inverse=True)

    def invert_tensor(self, name: str, difference: Tensor) -> Tensor:
        """Convert the difference of one weight (..., *shape) to a whitened one of the same shape, on the CPU."""
        if name not in self.names:
            return difference
        info = next(info for info in self.spec.parameters(1) if info.name == name)
        lead = difference.dim() - len(info.shape)
        factors = self._factors(True, difference.device, difference.dtype)
        return _mixed_matrix(difference.flatten(lead + 1), info.name, factors).view(difference.shape)

    def _mix(self, flat_BN: Tensor, num_classes: int, inverse: bool) -> Tensor:
        factors = self._factors(inverse, flat_BN.device, flat_BN.dtype)
        infos = self.spec.parameters(num_classes)
        parts = flat_BN.split([info.numel for info in infos], dim=-1)
        return torch.cat([_mixed(part, info, factors) for part, info in zip(parts, infos, strict=True)], dim=-1)

    def _factors(self, inverse: bool, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        key = (inverse, device, dtype)
        if key not in self._on:
            source = self.factors
            if inverse:
                source = {name: torch.linalg.inv(factor.double()) for name, factor in self.factors.items()}
            self._on[key] = {name: factor.to(device, dtype) for name, factor in source.items()}
        return self._on[key]


def _mixed(part_BM: Tensor, info: ParameterInfo, factors: Mapping[str, Tensor]) -> Tensor:
    if f"right.{info.name}" not in factors:
        return part_BM
    return _mixed_matrix(part_BM.unflatten(-1, (info.shape[0], -1)), info.name, factors).flatten(-2)


def _mixed_matrix(matrix_BOI: Tensor, name: str, factors: Mapping[str, Tensor]) -> Tensor:
    right, left = factors.get(f"right.{name}"), factors.get(f"left.{name}")
    if right is not None:
        matrix_BOI = matrix_BOI @ right
    return matrix_BOI if left is None else left @ matrix_BOI
