"""The head is a mean over positions and a linear layer, and its gradient is that of `mean`."""

from __future__ import annotations

import torch
from torch import nn

from tina_framework.builtins.architectures._pooled_head import pooled_logits


def test_logits_and_gradients_are_those_of_the_mean() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(2, 5, 4, 6, dtype=torch.float64, requires_grad=True), nn.Linear(5, 3).double()
    logits, expected = pooled_logits(hidden, head), head(hidden.mean(dim=(2, 3)))
    assert torch.allclose(logits, expected)
    weights = torch.randn(2, 3, dtype=torch.float64)
    ours = torch.autograd.grad((logits * weights).sum(), hidden)[0]
    theirs = torch.autograd.grad((expected * weights).sum(), hidden)[0]
    assert torch.allclose(ours, theirs)


def test_a_mean_of_bfloat16_values_is_not_rounded_to_bfloat16() -> None:
    head = nn.Linear(1, 1, bias=False)
    nn.init.ones_(head.weight)
    hidden = torch.ones(1, 1, 16, 16, dtype=torch.bfloat16)
    hidden[..., 0, 0] = 2.0  # the sum is 257, and bfloat16 has 256 and 258
    assert pooled_logits(hidden, head).item() == 257 / 256
