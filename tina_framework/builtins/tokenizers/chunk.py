"""`chunk`: the layout of Tina (arXiv 2405.14132): flat chunks, none of which holds parts of two tensors.

The head is cut like any other tensor. So a token mixes classes, and the layout is not equivariant: training shuffles the
order of the classes instead.
"""

from __future__ import annotations

import math

import torch

from tina_framework.builtins.tokenizers._chunks import ChunkSized, Token, assemble, offsets
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["ChunkTokenizer"]


class ChunkTokenizer(ChunkSized):
    """Every chunk is a group of its own, so that each has its own projections, as in the published code.

    With fewer classes than the maximum, the tensors with a class axis are shorter, and their last chunks may be missing. The
    elements of a class keep their places only if the class axis comes first, as it does in linear heads.

    Args:
        chunk_size: greatest width of a token, 576 in the paper.
    """

    name = "chunk"

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        self.check_number(spec, num_classes)
        starts = offsets(spec, num_classes)
        tokens: list[Token] = []
        widths: list[int] = []
        for info, largest in zip(spec.parameters(num_classes), spec.parameters(max_classes), strict=True):
            indices = torch.arange(starts[info.name], starts[info.name] + info.numel)
            first = len(widths)
            tokens += [Token(c, group=first + i, position=0) for i, c in enumerate(indices.split(self.chunk_size))]
            # Groups follow from the greatest class count alone, so that one network serves every count.
            rest = largest.numel
            for _ in range(math.ceil(largest.numel / self.chunk_size)):
                widths.append(min(self.chunk_size, rest))
                rest -= self.chunk_size
        return assemble(spec, num_classes, tokens, tuple(widths), (1,) * len(widths), equivariant=False)
