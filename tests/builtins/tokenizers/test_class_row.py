"""One token for each class, after those of the shared parameters."""

from __future__ import annotations

import time

import pytest
import torch

from tests.builtins.tokenizers.test_chunks import SPECS
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer


def test_class_row_of_the_card_network():
    layout = ClassRowTokenizer().layout(SPECS["cnn-2layer"], 10, 10)
    assert layout.group_widths == (432, 576, 33)
    assert layout.group_sizes == (1, 8, 1)
    assert layout.num_tokens == 19
    assert layout.equivariant
    assert layout.token_class.tolist() == [-1] * 9 + list(range(10))
    # Class 3's token: its 32 head weights, then its bias.
    weights = 432 + 4608 + 3 * 32
    assert layout.source[12, :33].tolist() == [*range(weights, weights + 32), 5040 + 320 + 3]


@pytest.mark.parametrize("name", sorted(SPECS))
def test_permuting_classes_permutes_class_row_tokens(name):
    spec, count = SPECS[name], 6
    layout = ClassRowTokenizer().layout(spec, count, count)
    flat = torch.randn(1, spec.num_parameters(count))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    state = {k: v[0] for k, v in spec.unflatten(flat, count).items()}
    permuted = spec.flatten(spec.select_classes(state, order), count)[None]
    tokens, after = layout.gather(flat), layout.gather(permuted)
    shared = int((layout.token_class < 0).sum())
    assert torch.equal(after[:, :shared], tokens[:, :shared])
    assert torch.equal(after[:, shared:], tokens[:, shared:][:, order])


def test_thousands_of_classes_take_no_time():
    started = time.process_time()
    layout = ClassRowTokenizer().layout(SPECS["cnn-2layer"], 8000, 8000)
    assert layout.num_tokens == 8009
    assert time.process_time() - started < 3  # 0.3 s; with a search for each class it took 33 s
