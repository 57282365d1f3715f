"""A forecast of the shared tensors straight from the set of classes: linear in the sum of their conditions and its products.

Shapes: B batch, K classes, E condition width, R rank, M moments, F features, Q positions of all token groups, D token width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PooledForecast", "num_features"]


def num_features(rank: int, moments: int) -> int:
    """F: one feature a direction, and one for each unordered pair of the first `moments` directions."""
    return rank + moments * (moments + 1) // 2


class PooledForecast(nn.Module):
    """What every shared token should be, as far as a linear map can tell from which classes are asked for.

    Each class is projected onto R directions. The features of a task are the sum of these projections over its K
    classes, and the sums of products of the first M of them, both divided by sqrt(K): the first two moments of the class
    set, blind to the order of the classes. A linear map leads from them to every position that belongs to no class. Class rows
    get nothing: what could be said without looking at one class is the same for all rows, softmax does not see it, and AdamW
    would turn the rounding noise of its gradient into a drift.

    Through attention alone the tokens of the convolutions learn slowly what the class set says about them; this path gives
    the gradient of the generated network's loss a short way to them. The map starts at zero.

    Args:
        condition_dim: E.
        rank: R.
        moments: M, at most R; 0: sums only.
        group_widths: width of each token group.
        group_sizes: positions of each group.
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
        nn.init.normal_(self.directions, std=1.0 / math.sqrt(self.directions.shape[1]))
        nn.init.zeros_(self.shared.weight)
        nn.init.zeros_(self.shared.bias)

    def features(self, condition_BKE: Tensor, class_mask_BK: Tensor) -> Tensor:
        """(B, K, E) and a mask (B, K) -> (B, F)."""
        projected_BKR = (condition_BKE @ self.directions.T).masked_fill(~class_mask_BK[..., None], 0.0)
        root_B1 = class_mask_BK.sum(dim=1, keepdim=True).to(projected_BKR.dtype).sqrt()
        parts = [projected_BKR.sum(dim=1) / root_B1]
        if self.moments:
            first = projected_BKR[..., : self.moments]
            products_BMM = first.transpose(1, 2) @ first
            i, j = torch.triu_indices(self.moments, self.moments, device=products_BMM.device)
            parts.append(products_BMM[:, i, j] / root_B1)
        return torch.cat(parts, dim=1)

    def forward(self, condition_BKE: Tensor, class_mask_BK: Tensor) -> Tensor:
        """(B, K, E) and a mask (B, K) -> (B, Q, D): the forecast for each position of each group, zero for class rows."""
        shared_BS = self.shared(self.features(condition_BKE, class_mask_BK))
        parts, used = [], 0
        for group, (size, width) in enumerate(self.shapes):
            if group == self.class_group:
                part = shared_BS.new_zeros(len(shared_BS), size, width)
            else:
                part = shared_BS[:, used : used + size * width].unflatten(1, (size, width))
                used += size * width
            parts.append(F.pad(part, (0, self.token_width - width)))
        return torch.cat(parts, dim=1)
