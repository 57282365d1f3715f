"""The fixed inputs of a regressor's heads."""

from __future__ import annotations

import torch

from tina_framework.training.regressor_heads import head_inputs


def test_head_0_reads_zeros_and_the_others_read_numbers_of_the_seed() -> None:
    inputs = head_inputs(3, 4, 1000)
    assert inputs.shape == (4, 1000)
    assert not inputs[0].any()
    assert torch.allclose(inputs[1:].std(1), torch.ones(3), atol=0.1)
    assert not torch.equal(inputs[1], inputs[2])
    assert torch.equal(head_inputs(3, 4, 1000), inputs)
    # More heads leave the first ones alone, and another seed changes them.
    assert torch.equal(head_inputs(3, 6, 1000)[:4], inputs)
    assert not torch.equal(head_inputs(4, 4, 1000)[1], inputs[1])
