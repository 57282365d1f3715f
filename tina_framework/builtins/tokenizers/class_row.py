"""`class-row`, the default: chunks of the shared tensors, then one token for each class.

Every class token uses the same projection and has no position. So permuting the classes permutes the tokens and changes
nothing else, and any number of classes fits.
"""

from __future__ import annotations

import torch

from tina_framework.builtins.tokenizers._chunks import ChunkSized, Token, assemble, offsets
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["ClassRowTokenizer"]


class ClassRowTokenizer(ChunkSized):
    """One group for each shared tensor, with its chunks as positions, and one group for all class rows.

    The row of a class holds its slice of every tensor that has a class axis, in parameter order: 32 head weights and one bias
    in `cnn-2layer`.

    Args:
        chunk_size: greatest width of a shared token.
    """

    name = "class-row"

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        self.check_number(spec, num_classes)
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
        # Sorted stably, so that the elements of each class keep their order. Shared ones, of class -1, come first.
        order = torch.argsort(flat_class, stable=True)
        rows = order[int((flat_class < 0).sum()) :].view(num_classes, -1)
        tokens += [Token(row, group=len(widths), position=0, token_class=k) for k, row in enumerate(rows)]
        return assemble(spec, num_classes, tokens, (*widths, rows.shape[1]), (*sizes, 1), equivariant=True)
