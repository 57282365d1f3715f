"""A fixed linear forecast of class rows, one for each architecture of a generator.

Shapes: B batch, P tokens, D token width, K classes, E condition width, C width of a class row.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.denoiser.embeddings import layout_index
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.storage.files import check_tensors

__all__ = ["RowForecast"]


class RowForecast:
    """Class row = weight @ conditioning vector + bias, added to the class rows that the denoiser predicts.

    It is a ridge regression onto the rows of the architecture's generic model, in standardised coordinates. A denoiser for one
    architecture starts its skip from it. The skip of a denoiser for several architectures belongs to none, so each has its own here.

    An architecture that was never trained is written as a wider relative, whose changes suit it only in part. So only a share of the
    denoiser's prediction counts then.

    Args:
        weight: (C, E).
        bias: (C,).
        filter_share: share of the predicted shared tokens that counts, from 0 to 1.
        row_share: the same for class rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, filter_share: float = 1.0, row_share: float = 1.0) -> None:
        self.weight, self.bias = weight.float(), bias.float()
        self.filter_share, self.row_share = filter_share, row_share
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def add(self, tokens_BPD: Tensor, condition_BKE: Tensor, layout: TokenLayout) -> Tensor:
        """Return the tokens (B, P, D) with the forecast added to those of the classes.

        Args:
            tokens_BPD: clean tokens.
            condition_BKE: (B, K, E) conditioning vectors, as the denoiser reads them. Padded slots may hold anything.
            layout: of the tokens, for K classes.
        """
        weight, bias = self._at(tokens_BPD.device)
        rows_BKC = F.linear(condition_BKE.float(), weight, bias)
        rows_BKD = F.pad(rows_BKC, (0, layout.token_width - rows_BKC.shape[-1]))
        index = layout_index(layout, tokens_BPD.device)
        rows_BKD = torch.cat([rows_BKD, torch.zeros_like(rows_BKD[:, :1])], dim=1)  # shared tokens have the class -1
        if (self.filter_share, self.row_share) != (1.0, 1.0):
            shares = tokens_BPD.new_tensor([self.row_share, self.filter_share])
            tokens_BPD = tokens_BPD * shares[(index.token_class < 0).long()][:, None]
        return tokens_BPD + rows_BKD[:, index.token_class].to(tokens_BPD.dtype)

    def with_shares(self, filter_share: float, row_share: float) -> RowForecast:
        """Return the same forecast with other shares."""
        return RowForecast(self.weight, self.bias, filter_share, row_share)

    def _at(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on:
            # The first use may be in sampling, under inference mode. Inference tensors could not be used in training later.
            with torch.inference_mode(False):
                self._on[device] = self.weight.to(device), self.bias.to(device)
        return self._on[device]

    def state_dict(self) -> dict[str, Tensor]:
        """Return ``weight`` and ``bias``, for a checkpoint."""
        return {"weight": self.weight, "bias": self.bias}

    @staticmethod
    def shapes(row_width: int, condition_dim: int) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of `state_dict`."""
        return {"weight": (row_width, condition_dim), "bias": (row_width,)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], row_width: int, condition_dim: int, shares: tuple[float, float] = (1.0, 1.0)
    ) -> RowForecast:
        """Return the forecast that `state_dict` described.

        Args:
            tensors: ``weight`` and ``bias``.
            row_width: C.
            condition_dim: E.
            shares: `filter_share` and `row_share`.

        Raises:
            CheckpointError: a tensor is missing or unknown, has the wrong shape or is not finite.
        """
        check_tensors(tensors, cls.shapes(row_width, condition_dim), "The checkpoint's row forecast")
        return cls(tensors["weight"], tensors["bias"], *shares)
