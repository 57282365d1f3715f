"""Assemble a `TokenLayout` token by token; the built-in tokenizers share this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.interfaces.whole_numbers import whole_number

__all__ = ["MAX_TOKENS", "ChunkSized", "Token", "assemble", "offsets"]


_MAX_ELEMENTS = 2**26
"""Maximum number of elements of a layout, with padding. Its two tables of indices then take 1 GB."""


MAX_TOKENS = 1_000_000
"""Maximum number of tokens of a layout. Each is a tensor of its own while the layout is made."""


class ChunkSized:
    """Base class of tokenizers whose only setting is `chunk_size`.

    Args:
        chunk_size: the most elements in a token; 576 in the paper (arXiv 2405.14132).

    Raises:
        ConfigError: `chunk_size` is not a whole number from 1 to a million.
    """

    def __init__(self, chunk_size: int = 576) -> None:
        self.chunk_size = whole_number(chunk_size, "chunk_size", 1, 1_000_000)

    def check_number(self, spec: ParameterSpec, num_classes: int) -> None:
        """Refuse a chunk size that cuts a large network into too many tokens.

        Raises:
            ConfigError: there would be more than a million chunks.
        """
        chunks = sum(-(-info.numel // self.chunk_size) for info in spec.parameters(num_classes))
        if chunks > MAX_TOKENS:
            raise ConfigError(
                f"chunk_size={self.chunk_size} cuts {spec.num_parameters(num_classes):,} parameters into {chunks:,} chunks, but "
                f"at most {MAX_TOKENS:,} are allowed. Choose a larger chunk_size, or a smaller max_classes."
            )

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
    if (elements := len(tokens) * max(group_widths)) > _MAX_ELEMENTS:
        raise ConfigError(
            f"{len(tokens):,} tokens of width {max(group_widths):,} hold {elements:,} elements, but at most "
            f"{_MAX_ELEMENTS:,} are allowed. Lower max_classes, or choose another chunk_size."
        )
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
