"""Transformer blocks: masking, parameter count, initialisation and checkpointing."""

from __future__ import annotations

import math

import pytest
import torch

from tina_framework.denoiser.blocks import Block, BlockStack


def test_what_is_not_visible_has_no_influence() -> None:
    torch.manual_seed(0)
    block = Block(16, 4).eval()
    sequence, visible = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    visible[:, 3:] = False
    changed = sequence.clone()
    changed[:, 3:] += 1.0
    assert torch.equal(block(sequence, visible)[:, :3], block(changed, visible)[:, :3])
    # There is no causal mask: an early position sees a later one.
    changed = sequence.clone()
    changed[:, 2] += 1.0
    assert not torch.equal(block(sequence, visible)[:, 0], block(changed, visible)[:, 0])


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_leaving_out_results_changes_no_other_result(layers: int) -> None:
    torch.manual_seed(0)
    stack = BlockStack(layers, 16, 4).eval()
    sequence, visible = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    visible[:, 3] = False
    for mask in (visible, None):
        torch.testing.assert_close(stack(sequence, mask, needed_from=2), stack(sequence, mask)[:, 2:])


def test_no_mask_means_that_everything_is_visible() -> None:
    torch.manual_seed(0)
    block, sequence = Block(16, 4).eval(), torch.randn(2, 5, 16)
    torch.testing.assert_close(block(sequence, None), block(sequence, torch.ones(2, 5, dtype=torch.bool)))


@pytest.mark.parametrize("ratio", [2, 4])
def test_the_parameter_count_is_the_documented_formula(ratio: int) -> None:
    hidden = 24
    count = sum(parameter.numel() for parameter in Block(hidden, 4, ratio).parameters())
    assert count == (4 + 2 * ratio) * hidden**2 + (9 + ratio) * hidden


def test_a_stack_without_blocks_is_the_identity() -> None:
    stack = BlockStack(0, 16, 4)
    sequence = torch.randn(2, 3, 16)
    assert torch.equal(stack(sequence, torch.ones(2, 3, dtype=torch.bool)), sequence)
    assert list(stack.parameters()) == []


def test_initial_weights_have_variance_one_over_fan_in() -> None:
    torch.manual_seed(0)
    stack = BlockStack(2, 64, 4)
    stack.reset_parameters()
    block = stack.blocks[0]
    assert float(block.query_key_value.weight.detach().std()) == pytest.approx(1 / 8, rel=0.05)
    # The layers that end a residual branch are smaller by sqrt(2 * 2 blocks).
    assert float(block.mlp_out.weight.detach().std()) == pytest.approx(1 / math.sqrt(256) / 2, rel=0.05)
    assert not block.attention_out.bias.any()


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    stack = BlockStack(2, 16, 4)
    sequence, visible = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    gradients = []
    for stack.checkpointing in (False, True):
        stack.zero_grad()
        stack(sequence, visible).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in stack.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)
