"""Networks as standardised differences from a base network that is read off the task's text vectors.

The base has the shared tensors of the generic model. Its class rows are predicted from the text vectors by ridge
regression on the generic model's rows. So a peer that writes zeros gives almost the network of *selection*, and no peer
knows a class by anything but its text.

Differences may be whitened (`tina_framework.denoiser.whitening`): a peer then writes the coordinates that `tina` writes.

Shapes: B tasks, K classes, E width of a conditioning vector, S shared parameters, R parameters of one class row,
N = S + K R parameters, C classes of the generic model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from tina_framework.denoiser.whitening import Whitening, factor_shapes
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterInfo, ParameterSpec

__all__ = ["Differences", "factor_buffer"]


def factor_buffer(name: str) -> str:
    """Return the name of the buffer that holds a factor of the whitening, such as ``left.conv1.weight``."""
    return "factor_" + name.replace(".", "_")


class Differences(nn.Module):
    """Converts networks to standardised differences and back. It has buffers only, and they are stored with the peer.

    The scale is one number for each tensor: the root mean square of the differences over the p-Models of a zoo.

    Args:
        spec: parameters of the architecture.
        width: E.
        whitened: the weights whose differences are whitened.

    Attributes:
        shared: S.
        row: R.
        shared_tensors: the tensors that all classes share, in the order of the S numbers.

    Raises:
        ConfigError: the architecture has class rows only.
    """

    base_S: Tensor
    scale_S: Tensor
    row_map_ER: Tensor
    row_mean_R: Tensor
    row_scale_R: Tensor

    def __init__(self, spec: ParameterSpec, width: int, whitened: Sequence[str] = ()) -> None:
        super().__init__()
        self.spec = spec
        self.row = spec.num_parameters(3) - spec.num_parameters(2)
        self.shared = spec.num_parameters(2) - 2 * self.row
        self.shared_tensors: list[ParameterInfo] = [info for info in spec.parameters(2) if info.class_axis is None]
        if not self.shared:
            raise ConfigError(
                f"Architecture '{spec.architecture.name}' consists of class rows only, but the peers write whole "
                "networks; choose one without a frozen trunk."
            )
        self.register_buffer("base_S", torch.zeros(self.shared))
        self.register_buffer("scale_S", torch.ones(self.shared))
        self.register_buffer("row_map_ER", torch.zeros(width, self.row))
        self.register_buffer("row_mean_R", torch.zeros(self.row))
        self.register_buffer("row_scale_R", torch.ones(self.row))
        self._factors = factor_shapes(spec, whitened)
        for name, (size, _) in self._factors.items():
            self.register_buffer(factor_buffer(name), torch.eye(size))
        self._places: dict[int, tuple[Tensor, Tensor]] = {}
        self._made: tuple[list[tuple[Tensor, int]], Whitening] | None = None

    @property
    def whitening(self) -> Whitening | None:
        """The whitening, or None. It keeps its inverse, so it is made once, and again only if a factor has changed."""
        if not self._factors:
            return None
        factors = {name: self.get_buffer(factor_buffer(name)) for name in self._factors}
        state = [(factor, 0 if factor.is_inference() else factor._version) for factor in factors.values()]
        if self._made is None or any(
            old is not new or before != now for (old, before), (new, now) in zip(self._made[0], state, strict=True)
        ):
            self._made = state, Whitening(self.spec, factors)
        return self._made[1]

    def _places_at(self, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return the places in the flat vector of the shared parameters (S,) and of the class rows (K, R)."""
        if num_classes not in self._places:
            owner = self.spec.flat_class(num_classes)
            shared = torch.nonzero(owner < 0).squeeze(1)
            rows = torch.stack([torch.nonzero(owner == k).squeeze(1) for k in range(num_classes)])
            self._places[num_classes] = shared, rows
        return self._places[num_classes]

    def split(self, flat_BN: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return the shared parameters (..., S) and the class rows (..., K, R) of networks (..., N)."""
        shared, rows = self._places_at(num_classes)
        return flat_BN[..., shared.to(flat_BN.device)], flat_BN[..., rows.to(flat_BN.device)]

    def join(self, shared_BS: Tensor, rows_BKR: Tensor) -> Tensor:
        """Return the networks (B, N) with these shared parameters and class rows. The inverse of `split`."""
        shared, rows = self._places_at(rows_BKR.shape[-2])
        together = torch.cat([shared_BS, rows_BKR.flatten(-2)], dim=-1)
        order = torch.argsort(torch.cat([shared, rows.flatten()])).to(together.device)
        return together.index_select(-1, order)

    def base_rows(self, conditions_BKE: Tensor) -> Tensor:
        """Return the class rows (B, K, R) of the base network for conditioning vectors."""
        return self.row_mean_R + conditions_BKE @ self.row_map_ER

    def standardise(self, shared_BS: Tensor, rows_BKR: Tensor, conditions_BKE: Tensor) -> tuple[Tensor, Tensor]:
        """Convert shared parameters and class rows to standardised differences from the base."""
        shared, rows = self._plain(shared_BS, rows_BKR, conditions_BKE)
        return shared / self.scale_S, rows / self.row_scale_R

    def _plain(self, shared_BS: Tensor, rows_BKR: Tensor, conditions_BKE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the differences from the base, whitened where there is a whitening, before they are scaled."""
        shared, rows = shared_BS - self.base_S, rows_BKR - self.base_rows(conditions_BKE)
        whitening, count = self.whitening, rows.shape[-2]
        return (
            (shared, rows) if whitening is None else self.split(whitening.invert(self.join(shared, rows), count), count)
        )

    def networks(self, shared_BS: Tensor, rows_BKR: Tensor, conditions_BKE: Tensor) -> Tensor:
        """Return the networks (B, N) that standardised differences describe."""
        shared, rows = self.scale_S * shared_BS, self.row_scale_R * rows_BKR
        whitening, count = self.whitening, rows.shape[-2]
        if whitening is not None:
            shared, rows = self.split(whitening.apply(self.join(shared, rows), count), count)
        return self.join(self.base_S + shared, self.base_rows(conditions_BKE) + rows)

    @torch.no_grad()
    def fit(
        self,
        generic: Mapping[str, Tensor],
        conditions_CE: Tensor,
        p_models: Iterable[tuple[Tensor, Tensor, Tensor]],
        ridge: float = 0.01,
        whitening: Whitening | None = None,
    ) -> None:
        """Compute the base and the scales.

        Args:
            generic: state dict of the generic model with C classes.
            conditions_CE: conditioning vectors of its classes.
            p_models: shared parameters (M, S), class rows (M, K, R) and conditioning vectors (M, K, E) of groups of M
                p-Models.
            ridge: strength of the ridge regression, relative to the mean squared length of a conditioning vector.
            whitening: the whitening of the weights that were named when this object was made.
        """
        for name, factor in (whitening.factors if whitening is not None else {}).items():
            self.get_buffer(factor_buffer(name)).copy_(factor)
        count = len(conditions_CE)
        flat = self.spec.flatten({name: generic[name].float() for name in self.spec.class_axes}, count)
        base, rows = self.split(flat, count)
        self.base_S.copy_(base)
        self.row_mean_R.copy_(rows.mean(0))
        # The dual form, in double precision: there are fewer classes than entries of a conditioning vector.
        vectors = conditions_CE.double()
        gram = vectors @ vectors.T
        gram += ridge * vectors.square().sum(1).mean() * torch.eye(count, dtype=torch.float64)
        self.row_map_ER.copy_(vectors.T @ torch.linalg.solve(gram, (rows - rows.mean(0)).double()))
        squares_S, squares_R, models, places = torch.zeros(self.shared), torch.zeros(self.row), 0, 0
        for shared_MS, rows_MKR, conditions_MKE in p_models:
            shared, rows = self._plain(shared_MS, rows_MKR, conditions_MKE)
            squares_S += shared.square().sum(0)
            squares_R += rows.square().sum((0, 1))
            models, places = models + len(shared_MS), places + rows_MKR.shape[0] * rows_MKR.shape[1]
        if not models:
            raise ConfigError("The zoo holds no p-Model to learn from; build one with `tina zoo build`.")
        sizes = [info.numel for info in self.shared_tensors]
        self.scale_S.copy_(_spread(squares_S / models, sizes))
        row_sizes = [info.numel // 2 for info in self.spec.parameters(2) if info.class_axis is not None]
        self.row_scale_R.copy_(_spread(squares_R / places, row_sizes))


def _spread(squares: Tensor, sizes: list[int]) -> Tensor:
    """Return the root of the mean square over each tensor, for each of its entries."""
    parts = [part.mean().sqrt().clamp(min=1e-6).expand(len(part)) for part in squares.split(sizes)]
    return torch.cat(parts)
