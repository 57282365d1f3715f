"""Convolutions as matrix products against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from tina_framework.targets.im2col import Im2col


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"stride": (1, 2), "padding": (0, 2), "bias": False}]
)
def test_results_and_gradients_are_those_of_a_convolution(options):
    layer, images = nn.Conv2d(3, 5, (3, 2), **options), torch.randn(4, 3, 9, 8, requires_grad=True)
    expected = layer(images)
    gradients = torch.autograd.grad(expected.square().sum(), [images, *layer.parameters()])
    with Im2col():
        found = layer(images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    ours = torch.autograd.grad(found.square().sum(), [images, *layer.parameters()])
    for mine, theirs in zip(ours, gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [{"groups": 3}, {"dilation": 2}, {"padding": "same"}])
def test_other_convolutions_are_left_alone(options):
    layer, images = nn.Conv2d(3, 6, 3, **options), torch.randn(2, 3, 9, 9)
    with Im2col():
        assert torch.equal(layer(images), F.conv2d(images, layer.weight, layer.bias, **options))


def test_under_vmap_it_is_a_matrix_product():
    layer = nn.Conv2d(3, 4, 3, padding=1)
    states = {name: torch.randn(6, *p.shape) for name, p in layer.named_parameters()}
    images = torch.randn(6, 2, 3, 8, 8)

    def run() -> torch.Tensor:
        return vmap(lambda state, batch: functional_call(layer, state, (batch,)))(states, images)

    expected = run()
    with Im2col(), torch.profiler.profile() as profile:
        torch.testing.assert_close(run(), expected, atol=1e-4, rtol=1e-4)
    names = {event.key for event in profile.key_averages()}
    assert "aten::bmm" in names
    assert "aten::convolution" not in names
