"""A linear forecast of the shared tensors from the set of classes, without attention.

Shapes: B batch, K classes, E condition width, R rank, M moments, F features, Q positions of all token groups, D token width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PooledForecast", "num_features", "set_features"]


def num_features(rank: int, moments: int) -> int:
    """Return F: one feature for each direction, and one for each unordered pair of the first `moments` directions."""
    return rank + moments * (moments + 1) // 2


def set_features(condition_BKE: Tensor, class_mask_BK: Tensor | None, directions_RE: Tensor, moments: int) -> Tensor:
    """Return (B, F) features of class sets: the moments (2) and (3) of `PooledForecast`.

    Args:
        condition_BKE: (B, K, E) conditioning vectors.
        class_mask_BK: (B, K) bool, which slots hold a class; None: all do.
        directions_RE: (R, E) the directions to project on.
        moments: M, how many of them also enter in pairs.
    """
    projected_BKR = condition_BKE @ directions_RE.T
    if class_mask_BK is None:
        root_B1 = projected_BKR.new_full((len(projected_BKR), 1), projected_BKR.shape[1]).sqrt()
    else:
        projected_BKR = projected_BKR.masked_fill(~class_mask_BK[..., None], 0.0)
        root_B1 = class_mask_BK.sum(dim=1, keepdim=True).to(projected_BKR.dtype).sqrt()
    found = [projected_BKR.sum(dim=1) / root_B1]
    if moments:
        first = projected_BKR[..., :moments]
        products_BMM = first.transpose(1, 2) @ first
        i, j = torch.triu_indices(moments, moments, device=products_BMM.device)
        found.append(products_BMM[:, i, j] / root_B1)
    return torch.cat(found, dim=1)


class PooledForecast(nn.Module):
    """Forecasts every shared token as a linear function of the first two moments of the class set.

    With the conditioning vectors c_1..c_K of a task and a learnt matrix P of R directions:

    (1) p_k = P c_k                                               projections (R,)
    (2) s = sum_k p_k / sqrt(K)                                   first moment (R,)
    (3) m_ij = sum_k p_ki p_kj / sqrt(K), i <= j < M              second moment of the first M projections
    (4) forecast = W [s, m] + b                                   every position of the shared tokens

    A sum over the set does not depend on the order of the classes (Deep Sets, arXiv 1703.06114). W and b start at zero.

    Why it helps: through attention, the tokens of the convolutions learn slowly how they depend on the class set. This map gives
    the gradient of the generated network's loss a short path to them.

    Class rows get no forecast. It would be the same for all rows, so softmax would cancel it, and AdamW would turn the
    rounding noise of its gradient into a drift.

    Args:
        condition_dim: E.
        rank: R, number of directions.
        moments: M, at most R; 0: no second moment.
        group_widths: used width of each token group.
        group_sizes: number of positions of each group.
        class_group: the group of the class rows.
        token_width: D.
    """

    def __init__(
        self,
        condition_dim: int,
        rank: int,
        moments: int,
        group_widths: tuple[int, ...],
        group_sizes: tuple[int, ...],
        class_group: int,
        token_width: int,
    ) -> None:
        super().__init__()
        self.moments = moments
        self.class_group = class_group
        self.token_width = token_width
        self.shapes = list(zip(group_sizes, group_widths, strict=True))
        shared = [size * width for group, (size, width) in enumerate(self.shapes) if group != class_group]
        self.directions = nn.Parameter(torch.empty(rank, condition_dim))
        self.shared = nn.Linear(num_features(rank, moments), sum(shared))

    def reset_parameters(self) -> None:
        """Draw the directions at random, and set W and b to zero, so that the first forecast is zero."""
        nn.init.normal_(self.directions, std=1.0 / math.sqrt(self.directions.shape[1]))
        nn.init.zeros_(self.shared.weight)
        nn.init.zeros_(self.shared.bias)

    def features(self, condition_BKE: Tensor, class_mask_BK: Tensor | None) -> Tensor:
        """Compute the moments (2) and (3): (B, K, E) and a class mask (B, K), None without padding -> (B, F)."""
        return set_features(condition_BKE, class_mask_BK, self.directions, self.moments)

    def forward(self, condition_BKE: Tensor, class_mask_BK: Tensor | None) -> Tensor:
        """Compute the forecast (4): (B, K, E) and a class mask (B, K), None without padding -> (B, Q, D), zero for class rows."""
        shared_BS = self.shared(self.features(condition_BKE, class_mask_BK))
        by_group, used = [], 0
        for group, (size, width) in enumerate(self.shapes):
            if group == self.class_group:
                forecast = shared_BS.new_zeros(len(shared_BS), size, width)
            else:
                forecast = shared_BS[:, used : used + size * width].unflatten(1, (size, width))
                used += size * width
            by_group.append(F.pad(forecast, (0, self.token_width - width)))
        return torch.cat(by_group, dim=1)
