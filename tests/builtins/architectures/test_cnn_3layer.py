"""The larger network of the published code has its number of parameters, and loses no precision in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.interfaces.spec import ParameterSpec


def test_parameters_of_the_published_code() -> None:
    spec = ParameterSpec(cnn_3layer)
    assert spec.num_parameters(10) == 14_586
    assert [(p.name, p.shape) for p in spec.parameters(10)] == [
        ("conv1.weight", (16, 3, 3, 3)),
        ("conv2.weight", (32, 16, 3, 3)),
        ("conv3.weight", (32, 32, 3, 3)),
        ("fc.weight", (10, 32)),
        ("fc.bias", (10,)),
    ]
    assert spec.class_axes["fc.weight"] == spec.class_axes["fc.bias"] == 0


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_output_has_one_logit_a_class(num_classes: int) -> None:
    assert cnn_3layer.build(num_classes)(torch.zeros(3, 3, 32, 32)).shape == (3, num_classes)


def answers(network: nn.Module, images: Tensor, bfloat16: bool) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        logits: Tensor = network(images)
    return logits


def test_in_bfloat16_the_answer_is_the_same_up_to_rounding() -> None:
    torch.manual_seed(0)
    network, images = cnn_3layer.build(5), torch.rand(32, 3, 32, 32) * 2 - 1
    plain, rounded = answers(network, images, False), answers(network, images, True)
    assert rounded.dtype == torch.float32
    # Relative to the differences between pictures. They are much smaller than the logits, which are mostly bias at first.
    assert (rounded - plain).norm() < 0.05 * (plain - plain.mean(0)).norm()


def test_in_bfloat16_a_shift_common_to_all_logits_hides_nothing() -> None:
    torch.manual_seed(0)
    network, images = cnn_3layer.build(5), torch.rand(32, 3, 32, 32) * 2 - 1
    before = answers(network, images, True)
    with torch.no_grad():
        network.get_parameter("fc.bias").add_(300.0)  # in bfloat16 the next number is 302
    assert torch.allclose(answers(network, images, True) - 300.0, before, atol=1e-4)


@pytest.mark.parametrize("width", [0.25, 0.5, 1.5, 4])
def test_width_multiplies_the_channels(width: float) -> None:
    shapes = [info.shape for info in ParameterSpec(cnn_3layer.at_width(width)).parameters(10)]
    first, second = round(16 * width), round(32 * width)
    assert shapes == [(first, 3, 3, 3), (second, first, 3, 3), (second, second, 3, 3), (10, second), (10,)]
