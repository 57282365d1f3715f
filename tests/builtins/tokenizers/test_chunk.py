"""The parameter vector cut into chunks, as in the paper."""

from __future__ import annotations

from tests.builtins.tokenizers.test_chunks import SPECS
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer


def test_chunk_is_the_papers_cut():
    layout = ChunkTokenizer().layout(SPECS["cnn-2layer"], 10, 10)
    assert layout.group_widths == (432, *[576] * 8, 320, 10)
    assert layout.num_tokens == 11
    assert not layout.equivariant
    assert layout.token_class.tolist() == [-1] * 11
