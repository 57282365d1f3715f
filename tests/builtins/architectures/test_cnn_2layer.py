"""The card's network has exactly the card's parameters."""

from __future__ import annotations

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.interfaces.spec import ParameterSpec


def test_parameters_of_the_card():
    spec = ParameterSpec(cnn_2layer)
    assert spec.num_parameters(10) == 5370
    assert [(p.name, p.shape) for p in spec.parameters(10)] == [
        ("conv1.weight", (16, 3, 3, 3)),
        ("conv2.weight", (32, 16, 3, 3)),
        ("fc.weight", (10, 32)),
        ("fc.bias", (10,)),
    ]
    assert spec.class_axes == {"conv1.weight": None, "conv2.weight": None, "fc.weight": 0, "fc.bias": 0}


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_output_has_one_logit_a_class(num_classes):
    assert cnn_2layer.build(num_classes)(torch.zeros(3, 3, 32, 32)).shape == (3, num_classes)


def test_stride_and_padding_by_hand():
    """One bright pixel, identity-like kernels: the value is known."""
    net = cnn_2layer.build(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.conv1.weight[0, 0, 1, 1] = 1.0
        net.conv2.weight[0, 0, 1, 1] = 2.0
        net.fc.weight[1, 0] = 3.0
        image = torch.zeros(1, 3, 32, 32)
        image[0, 0, 4, 6] = 5.0  # even coordinates: hit by the stride
        logits = net(image)
    assert logits[0, 0] == 0
    assert logits[0, 1] == pytest.approx(5 * 2 * 3 / 256)


def test_a_shift_of_all_logits_costs_no_precision_under_autocast() -> None:
    torch.manual_seed(0)
    network, images = cnn_2layer.build(10), torch.randn(64, 3, 32, 32)
    plain = network(images)
    with torch.no_grad():
        network.fc.bias += 1000.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shifted = network(images)
    assert shifted.dtype == torch.float32
    torch.testing.assert_close(shifted - 1000.0, plain, atol=0.02, rtol=0)
    half = cnn_2layer.build(3).bfloat16()
    assert half(images.bfloat16()).shape == (64, 3)


@pytest.mark.parametrize("width", [0.25, 0.5, 1.5, 4])
def test_width_multiplies_the_channels(width: float) -> None:
    shapes = [info.shape for info in ParameterSpec(cnn_2layer.at_width(width)).parameters(10)]
    first, second = round(16 * width), round(32 * width)
    assert shapes == [(first, 3, 3, 3), (second, first, 3, 3), (10, second), (10,)]
