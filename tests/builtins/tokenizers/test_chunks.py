"""What both built-in layouts share: exact round trips for every class count, groups that do not depend on it, masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec


class OddNet(nn.Module):
    """A class axis that is not the first, several tensors with one, and a width no chunk size divides."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Parameter(torch.zeros(5, 13))
        self.columns = nn.Parameter(torch.zeros(3, num_classes))
        self.middle = nn.Parameter(torch.zeros(2, num_classes, 4))
        self.shift = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.columns + self.shift


SPECS = {
    "cnn-2layer": ParameterSpec(cnn_2layer),
    "odd": ParameterSpec(TargetArchitecture(name="odd", build=OddNet)),
}


@given(
    spec=st.sampled_from(sorted(SPECS)),
    tokenizer=st.sampled_from([ClassRowTokenizer, ChunkTokenizer]),
    chunk_size=st.integers(1, 700),
    num_classes=st.integers(1, 24),
    extra=st.integers(0, 5),
    seed=st.integers(0, 2**16),
)
def test_round_trip_is_exact(spec, tokenizer, chunk_size, num_classes, extra, seed):
    layout = tokenizer(chunk_size=chunk_size).layout(SPECS[spec], num_classes, num_classes + extra)
    flat = torch.randn(2, SPECS[spec].num_parameters(num_classes), generator=torch.Generator().manual_seed(seed))
    tokens = layout.gather(flat)
    assert tokens.shape == (2, layout.num_tokens, layout.token_width)
    assert torch.equal(layout.scatter(tokens), flat)
    assert bool((tokens[:, layout.source < 0] == 0).all())


@pytest.mark.parametrize("tokenizer", [ClassRowTokenizer(), ChunkTokenizer()])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_groups_depend_on_the_greatest_class_count_alone(tokenizer, num_classes):
    spec = SPECS["cnn-2layer"]
    few, most = tokenizer.layout(spec, num_classes, 10), tokenizer.layout(spec, 10, 10)
    assert few.group_widths == most.group_widths
    assert few.group_sizes == most.group_sizes
    for token in range(few.num_tokens):
        assert int((few.source[token] >= 0).sum()) <= few.group_widths[int(few.group[token])]
        assert int(few.position[token]) < few.group_sizes[int(few.group[token])]


@pytest.mark.parametrize("tokenizer", [ClassRowTokenizer(), ChunkTokenizer()])
def test_masks_hide_absent_classes(tokenizer):
    spec = SPECS["cnn-2layer"]
    layout = tokenizer.layout(spec, 10, 10)
    mask = torch.arange(10)[None] < torch.tensor([[4], [10]])
    elements = layout.element_mask(mask)
    assert int(elements[0].sum()) == spec.num_parameters(4)
    assert int(elements[1].sum()) == spec.num_parameters(10)
    tokens = layout.token_mask(mask)
    assert int(tokens[0].sum()) == (13 if layout.equivariant else 11)


@pytest.mark.parametrize("tokenizer", [ClassRowTokenizer, ChunkTokenizer])
def test_config_rebuilds_and_bad_sizes_are_refused(tokenizer):
    assert tokenizer(**tokenizer(chunk_size=100).config).chunk_size == 100
    with pytest.raises(ConfigError, match="chunk_size is 0"):
        tokenizer(chunk_size=0)


def test_layouts_that_would_fill_the_memory_are_refused():
    with pytest.raises(
        ConfigError, match=r"tokens of width [\d,]+ hold [\d,]+ elements, but at most 67,108,864 are allowed"
    ):
        ClassRowTokenizer().layout(SPECS["cnn-2layer"], 200_000, 200_000)
    for tokenizer in (ChunkTokenizer, ClassRowTokenizer):
        with pytest.raises(
            ConfigError, match=r"chunk_size=1 cuts [\d,]+ parameters into [\d,]+ chunks, but at most 1,000,000 are"
        ):
            tokenizer(chunk_size=1).layout(SPECS["cnn-2layer"], 50_000, 50_000)
        for size in (0, 2.5, True, 10**9):
            with pytest.raises(ConfigError, match=r"chunk_size is .*; it must be a whole number from 1 to 1,000,000"):
                tokenizer(chunk_size=size)
