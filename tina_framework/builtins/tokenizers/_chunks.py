"""Assemble a `TokenLayout` token by token; the built-in tokenizers share this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["ChunkSized", "Token", "assemble", "offsets"]


class ChunkSized:
    """Base class of tokenizers whose only setting is `chunk_size`.

    Args:
        chunk_size: the most elements in a token; 576 in the paper (arXiv 2405.14132).

    Raises:
        ConfigError: `chunk_size` is below 1.
    """

    def __init__(self, chunk_size: int = 576) -> None:
        if chunk_size < 1:
            raise ConfigError(f"chunk_size is {chunk_size}; it must be at least 1.")
        self.chunk_size = chunk_size

    @property
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments that make an equal tokenizer."""
        return {"chunk_size": self.chunk_size}


@dataclass(frozen=True)
class Token:
    """One token of a layout.

    Attributes:
        indices: int64 indices into the flat vector, in the order in which the token holds these elements.
        group: its token group; tokens of a group share a projection.
        position: its place within the group.
        token_class: the class slot that it belongs to, -1 if all classes share it.
    """

    indices: Tensor
    group: int
    position: int
    token_class: int = -1


def offsets(spec: ParameterSpec, num_classes: int) -> dict[str, int]:
    """Return where each parameter starts in the flat vector."""
    starts, total = {}, 0
    for info in spec.parameters(num_classes):
        starts[info.name] = total
        total += info.numel
    return starts


def assemble(
    spec: ParameterSpec,
    num_classes: int,
    tokens: list[Token],
    group_widths: tuple[int, ...],
    group_sizes: tuple[int, ...],
    *,
    equivariant: bool,
) -> TokenLayout:
    """Return the layout of these tokens.

    Tokens are padded to the widest group with index -1. The class of each element comes from `spec.flat_class`.
    """
    source = torch.full((len(tokens), max(group_widths)), -1, dtype=torch.int64)
    for row, token in enumerate(tokens):
        source[row, : token.indices.numel()] = token.indices
    flat_class = spec.flat_class(num_classes)
    element_class = torch.where(source >= 0, flat_class[source.clamp(min=0)], -1)
    return TokenLayout(
        source=source,
        element_class=element_class,
        group=torch.tensor([token.group for token in tokens]),
        position=torch.tensor([token.position for token in tokens]),
        token_class=torch.tensor([token.token_class for token in tokens]),
        group_widths=group_widths,
        group_sizes=group_sizes,
        num_parameters=spec.num_parameters(num_classes),
        num_classes=num_classes,
        equivariant=equivariant,
    )
