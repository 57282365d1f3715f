"""`class-row`: chunks of the shared tensors, then one token a class. The default.

Every class token uses the same projection and has no position, so that permuting the classes permutes the tokens
and nothing else, and any number of classes fits.
"""

from __future__ import annotations

import torch

from tina_framework.builtins.tokenizers._chunks import ChunkSized, Token, assemble, offsets
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["ClassRowTokenizer"]


class ClassRowTokenizer(ChunkSized):
    """One group a shared tensor (its chunks of at most `chunk_size` are positions), one group for all class rows.

    A class row holds, for one class, its slice of every tensor that has a class axis, in parameter order: 32 head
    weights and one bias in `cnn-2layer`.

    Args:
        chunk_size: greatest width of a shared token.
    """

    name = "class-row"

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        starts = offsets(spec, num_classes)
        tokens: list[Token] = []
        widths: list[int] = []
        sizes: list[int] = []
        for info in spec.parameters(num_classes):
            if info.class_axis is not None:
                continue
            indices = torch.arange(starts[info.name], starts[info.name] + info.numel)
            chunks = indices.split(self.chunk_size)
            tokens += [Token(chunk, group=len(widths), position=i) for i, chunk in enumerate(chunks)]
            widths.append(min(self.chunk_size, info.numel))
            sizes.append(len(chunks))
        flat_class = spec.flat_class(num_classes)
        rows = [torch.nonzero(flat_class == k).squeeze(1) for k in range(num_classes)]
        tokens += [Token(row, group=len(widths), position=0, token_class=k) for k, row in enumerate(rows)]
        return assemble(spec, num_classes, tokens, (*widths, rows[0].numel()), (*sizes, 1), equivariant=True)
