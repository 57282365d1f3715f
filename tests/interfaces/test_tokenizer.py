"""A layout of six parameters in three tokens: gather, scatter, and which tokens and elements exist."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tina_framework.interfaces.tokenizer import TokenLayout

LAYOUT = TokenLayout(
    source=torch.tensor([[0, 1, 2], [4, 3, -1], [5, -1, -1]]),
    element_class=torch.tensor([[-1, -1, -1], [0, 0, -1], [1, -1, -1]]),
    group=torch.tensor([0, 1, 1]),
    position=torch.zeros(3, dtype=torch.int64),
    token_class=torch.tensor([-1, 0, 1]),
    group_widths=(3, 2),
    group_sizes=(1, 1),
    num_parameters=6,
    num_classes=2,
    equivariant=True,
)


def test_gather_and_scatter_are_inverse_and_differentiable() -> None:
    flat = torch.arange(1.0, 7.0)[None].requires_grad_()
    tokens = LAYOUT.gather(flat)
    assert tokens.tolist() == [[[1, 2, 3], [5, 4, 0], [6, 0, 0]]]
    assert torch.equal(LAYOUT.scatter(tokens), flat)
    LAYOUT.scatter(tokens * 2).sum().backward()
    assert flat.grad is not None
    assert flat.grad.tolist() == [[2.0] * 6]
    assert (LAYOUT.num_tokens, LAYOUT.token_width) == (3, 3)


def test_absent_classes_have_no_tokens_and_no_elements() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    assert LAYOUT.token_mask(mask).tolist() == [[True, True, False], [True, True, True]]
    assert LAYOUT.element_mask(mask).sum(dim=(1, 2)).tolist() == [5, 6]


def test_tables_first_made_under_inference_mode_work_in_training() -> None:
    layout = dataclasses.replace(LAYOUT)
    with torch.inference_mode():
        layout.gather(torch.zeros(1, 6))
    flat = torch.randn(2, 6, requires_grad=True)
    layout.scatter(layout.gather(flat)).sum().backward()
    assert flat.grad is not None
    assert flat.grad.tolist() == [[1.0] * 6] * 2


def test_an_empty_batch_has_no_rows() -> None:
    assert LAYOUT.gather(torch.zeros(0, 6)).shape == (0, 3, 3)
    assert LAYOUT.element_mask(torch.zeros(0, 2, dtype=torch.bool)).shape == (0, 3, 3)


@pytest.mark.parametrize("source", [[[0, 1, 2], [4, 3, -1], [-1, -1, -1]], [[0, 1, 2], [4, 3, -1], [4, -1, -1]]])
def test_every_parameter_has_exactly_one_place(source: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="elements for 6 parameters; every parameter must have exactly one place"):
        dataclasses.replace(LAYOUT, source=torch.tensor(source))
