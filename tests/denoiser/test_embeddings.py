"""Timestep embedding, layout indices, and the projections of token groups."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.denoiser.embeddings import GroupProjection, TimestepEmbedding, layout_index
from tina_framework.interfaces.spec import ParameterSpec

SPEC = ParameterSpec(cnn_2layer)
TOKENIZERS = {"class-row": ClassRowTokenizer(), "chunk": ChunkTokenizer()}
CPU = torch.device("cpu")


def test_a_timestep_is_sines_and_cosines_of_falling_frequencies() -> None:
    embedding = TimestepEmbedding(4, 8)
    with torch.no_grad():
        embedding.projection.weight.copy_(torch.eye(8))
        embedding.projection.bias.zero_()
    found = embedding(torch.tensor([0.0, 2.5]))
    angles = [2.5 * 10_000.0 ** (-k / 4) for k in range(4)]
    expected = [[0.0] * 4 + [1.0] * 4, [*map(math.sin, angles), *map(math.cos, angles)]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_group_and_position_has_its_own_row_of_the_table(tokenizer: str) -> None:
    layout = TOKENIZERS[tokenizer].layout(SPEC, 10, 10)
    places = list(zip(layout.group.tolist(), layout.position.tolist(), strict=True))
    rows = layout_index(layout, CPU).position.tolist()
    assert len(set(zip(places, rows, strict=True))) == len(set(places)) == len(set(rows))
    assert max(rows) < sum(layout.group_sizes)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_element_mask_is_that_of_the_layout(tokenizer: str) -> None:
    layout = TOKENIZERS[tokenizer].layout(SPEC, 4, 10)
    mask = torch.tensor([[True, True, True, True], [True, False, True, False]])
    assert torch.equal(layout_index(layout, CPU).element_mask(mask), layout.element_mask(mask))


def test_indices_are_made_once_and_go_with_the_layout() -> None:
    layout = TOKENIZERS["class-row"].layout(SPEC, 4, 10)
    assert layout_index(layout, CPU) is layout_index(layout, CPU)
    gone = weakref.ref(layout)
    del layout
    gc.collect()
    assert gone() is None


def test_each_group_has_its_own_projections_and_the_rest_of_a_token_is_zero() -> None:
    layout = TOKENIZERS["class-row"].layout(SPEC, 3, 10)
    index = layout_index(layout, CPU)
    projection = GroupProjection(layout.group_widths, layout.group_sizes, layout.token_width, 8, std=0.5)
    projection.reset_parameters()
    tokens = torch.randn(2, layout.num_tokens, layout.token_width)
    hidden = projection.project_in(tokens, index)
    assert hidden.shape == (2, layout.num_tokens, 8)
    assert not projection.project_out(hidden, index).any()
    for group, (into, width) in enumerate(zip(projection.into, layout.group_widths, strict=True)):
        place = int((layout.group == group).nonzero()[0])
        expected = into(tokens[:, place, :width]) + projection.position[index.position[place]]
        torch.testing.assert_close(hidden[:, place], expected)
        torch.nn.init.constant_(projection.out_of[group].bias, group + 1.0)
    out = projection.project_out(hidden, index)
    for group, width in enumerate(layout.group_widths):
        of_group = out[:, layout.group == group]
        assert bool((of_group[..., :width] == group + 1.0).all())
        assert not of_group[..., width:].any()
