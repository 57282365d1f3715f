"""Embeddings of timesteps and parameter tokens, and the projections of tokens into the transformer and out of it.

Shapes: B batch, P tokens, D token width, K classes, H hidden, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.denoiser.blocks import init_linear
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["GroupProjection", "LayoutIndex", "TimestepEmbedding", "layout_index"]


class TimestepEmbedding(nn.Module):
    """Sines and cosines of the timestep, then a linear map to H.

    The F frequencies are 10000^(-f / F) radians per timestep, f = 0..F-1: the positional encoding of arXiv 1706.03762,
    section 3.5, with the timestep as the position.

    Args:
        num_frequencies: F.
        hidden_size: H.
    """

    def __init__(self, num_frequencies: int, hidden_size: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.projection = nn.Linear(2 * num_frequencies, hidden_size)

    def forward(self, t_B: Tensor) -> Tensor:
        """(B,) timesteps, integers or not -> (B, H)."""
        exponents = torch.arange(self.num_frequencies, device=t_B.device, dtype=torch.float32) / self.num_frequencies
        angles = t_B.to(torch.float32)[:, None] * torch.exp(-math.log(10_000.0) * exponents)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        projected: Tensor = self.projection(waves.to(self.projection.weight.dtype))
        return projected


@dataclass(frozen=True)
class LayoutIndex:
    """The indices of a layout on one device, computed once so that no denoising step copies or searches.

    Attributes:
        order: (P,) tokens sorted by group; None if they are sorted already.
        inverse: (P,) the inverse of `order`; None if `order` is None.
        group_counts: number of tokens of each group, which may be zero.
        position: (P,) row of each token in the position table.
        group: (P,) group of each token.
        token_class: (P,) class slot of each token, -1 if it has none.
        element_class: (P, D) class slot of each element, -1 if it has none.
        real: (P, D) bool, whether the element is a parameter rather than padding.
        has_gaps: whether some element within the used width of its group is padding.
        has_empty_tokens: whether some token has padding only.
        positions_of: `position` of the tokens of each group.
        token_classes_of: `token_class` of the tokens of each group.
        descriptors: (P, A) description of each token; None without.
        descriptors_of: `descriptors` of the tokens of each group; empty without.
    """

    order: Tensor | None
    inverse: Tensor | None
    group_counts: list[int]
    position: Tensor
    group: Tensor
    token_class: Tensor
    element_class: Tensor
    real: Tensor
    has_gaps: bool
    has_empty_tokens: bool
    positions_of: tuple[Tensor, ...]
    token_classes_of: tuple[Tensor, ...]
    descriptors: Tensor | None = None
    descriptors_of: tuple[Tensor, ...] = ()

    def element_mask(self, class_mask_BK: Tensor) -> Tensor:
        """Return which elements are parameters of classes that exist: (B, P, D) bool, as `TokenLayout.element_mask`."""
        return (class_mask_BK[:, self.element_class.clamp(min=0)] | (self.element_class < 0)) & self.real


_indices: WeakKeyDictionary[TokenLayout, dict[torch.device, LayoutIndex]] = WeakKeyDictionary()


def layout_index(layout: TokenLayout, device: torch.device) -> LayoutIndex:
    """Return the indices of a layout on a device. They are computed once and kept as long as the layout exists."""
    per_device = _indices.setdefault(layout, {})
    if device not in per_device:
        # The first use may be in sampling, under inference mode. Inference tensors could not be used in training later.
        with torch.inference_mode(False), torch.no_grad():
            per_device[device] = _make_index(layout, device)
    return per_device[device]


def _make_index(layout: TokenLayout, device: torch.device) -> LayoutIndex:
    group = layout.group.cpu()
    order = torch.argsort(group, stable=True)
    is_sorted = torch.equal(order, torch.arange(layout.num_tokens))
    sizes = torch.tensor(layout.group_sizes)
    offsets = torch.cumsum(sizes, 0) - sizes
    # `torch.split` needs Python integers.
    counts = torch.bincount(group, minlength=len(layout.group_widths)).tolist()
    position, token_class, real = (
        offsets[group] + layout.position.cpu(),
        layout.token_class.cpu(),
        layout.source.cpu() >= 0,
    )
    descriptors = None if layout.descriptors is None else layout.descriptors.float().cpu()
    used = torch.arange(layout.token_width) < torch.tensor(layout.group_widths)[group][:, None]
    return LayoutIndex(
        order=None if is_sorted else order.to(device),
        inverse=None if is_sorted else torch.argsort(order).to(device),
        group_counts=counts,
        position=position.to(device),
        group=group.to(device),
        token_class=token_class.to(device),
        element_class=layout.element_class.to(device),
        real=real.to(device),
        has_gaps=bool((used & ~real).any()),
        has_empty_tokens=not bool(real.any(dim=1).all()),
        positions_of=tuple(part.to(device) for part in torch.split(position[order], counts)),
        token_classes_of=tuple(part.to(device) for part in torch.split(token_class[order], counts)),
        descriptors=None if descriptors is None else descriptors.to(device),
        descriptors_of=()
        if descriptors is None
        else tuple(part.to(device) for part in torch.split(descriptors[order], counts)),
    )


class GroupProjection(nn.Module):
    """A linear map into H and one out of it for each token group, and an embedding for each (group, position).

    The maps out of H start at zero, so that an untrained denoiser returns exactly zero.

    Args:
        group_widths: used width of the tokens of each group.
        group_sizes: number of positions of each group.
        token_width: D.
        hidden_size: H.
        std: initial standard deviation of the position embeddings.
    """

    def __init__(
        self,
        group_widths: tuple[int, ...],
        group_sizes: tuple[int, ...],
        token_width: int,
        hidden_size: int,
        std: float,
    ) -> None:
        super().__init__()
        self.group_widths = group_widths
        self.token_width = token_width
        self.std = std
        self.into = nn.ModuleList(nn.Linear(width, hidden_size) for width in group_widths)
        self.out_of = nn.ModuleList(nn.Linear(hidden_size, width) for width in group_widths)
        self.position = nn.Parameter(torch.empty(sum(group_sizes), hidden_size))

    def reset_parameters(self) -> None:
        """Draw the maps into H and the embeddings; set the maps out of H to zero."""
        for into, out_of in zip(self.into, self.out_of, strict=True):
            assert isinstance(into, nn.Linear)
            assert isinstance(out_of, nn.Linear)
            init_linear(into)
            nn.init.zeros_(out_of.weight)
            nn.init.zeros_(out_of.bias)
        nn.init.normal_(self.position, std=self.std)

    def project_in(self, tokens_BPD: Tensor, index: LayoutIndex) -> Tensor:
        """(B, P, D) -> (B, P, H), with the position embedding added."""
        if index.order is not None:
            tokens_BPD = tokens_BPD[:, index.order]
        # Groups without a token at this class count run on empty tensors: data-parallel training needs a gradient, even if
        # zero, for every parameter.
        parts = torch.split(tokens_BPD, index.group_counts, dim=1)
        hidden = torch.cat(
            [into(part[..., :width]) for into, part, width in zip(self.into, parts, self.group_widths, strict=True)],
            dim=1,
        )
        if index.inverse is not None:
            hidden = hidden[:, index.inverse]
        return hidden + self.position[index.position]

    def project_out(
        self,
        hidden_BPH: Tensor,
        index: LayoutIndex,
        dtype: torch.dtype | None = None,
        forecasts: Sequence[Tensor | None] | None = None,
    ) -> Tensor:
        """(B, P, H) -> (B, P, D), zero beyond each group's width.

        Args:
            hidden_BPH: the tokens.
            index: the indices of the tokens' layout.
            dtype: the type of the result; None: the type that the projections compute in.
            forecasts: for each group, None or the values (B, tokens of the group, width) to add to its tokens.
        """
        if index.order is not None:
            hidden_BPH = hidden_BPH[:, index.order]
        parts = []
        split = torch.split(hidden_BPH, index.group_counts, dim=1)
        for group, (out_of, part, width) in enumerate(zip(self.out_of, split, self.group_widths, strict=True)):
            tokens = out_of(part)
            tokens = tokens if dtype is None else tokens.to(dtype)
            # Added here, at the width of the group, because tokens are mostly wider than a class row.
            if forecasts is not None and (forecast := forecasts[group]) is not None:
                tokens = tokens + forecast.to(tokens.dtype)
            parts.append(F.pad(tokens, (0, self.token_width - width)) if width < self.token_width else tokens)
        tokens = torch.cat(parts, dim=1)
        return tokens if index.inverse is None else tokens[:, index.inverse]
