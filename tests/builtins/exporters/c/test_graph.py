"""Reading networks, and refusing those that the format cannot hold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.builtins.exporters.c.samples import CLASSES, ClassMaps, Everything, source_of
from tina_framework.builtins.exporters.c.graph import read_network
from tina_framework.builtins.exporters.c.operations import Add, Clamp, Convolution, GroupNorm, Network, Pool
from tina_framework.errors import ConfigError


def read(network: nn.Module, trunk: nn.Module | None = None) -> Network:
    source = source_of(network, trunk=trunk)
    return read_network(source.network, source.input_shape)


class Applied(nn.Module):
    """A convolution, then a function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.function(self.conv(images))  # type: ignore[operator]
        return hidden.mean(dim=(2, 3))


def test_all_operations_are_read() -> None:
    network = read(Everything())
    assert [type(operation) for operation in network.operations] == [
        Convolution, Convolution, GroupNorm, Add, Clamp, Clamp, Add, Pool, Clamp, Convolution, Pool, Pool, Convolution, Convolution,
    ]  # fmt: skip
    assert network.operations[0].bounds == (0, 6)
    assert network.operations[-2].bounds == (0, math.inf)
    assert network.shapes[0] == (3, 12, 12)
    assert network.shapes[-1] == (len(CLASSES), 1, 1)


def test_a_linear_layer_is_a_convolution_with_a_kernel_of_the_whole_value() -> None:
    network = read(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 10 * 10, 3)))
    last = network.operations[-1]
    assert isinstance(last, Convolution)
    assert last.weight.shape == (3, 4, 10, 10)


def test_a_sum_divided_by_a_number_is_a_mean() -> None:
    network = read(Applied(lambda hidden: hidden.sum(dim=(2, 3), keepdim=True) / 50))
    pool = network.operations[1]
    assert isinstance(pool, Pool)
    assert pool.factor == pytest.approx(2)


def test_weights_that_are_computed_are_computed_once() -> None:
    class Standardised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, images: Tensor) -> Tensor:
            weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
            return F.conv2d(images, weight / weight.std()).mean(dim=(2, 3))

    first = read(Standardised()).operations[0]
    assert isinstance(first, Convolution)
    assert abs(first.weight[0].mean()) < 1e-6
    assert first.weight.std() == pytest.approx(1, abs=0.01)


def test_activations_join_only_what_nothing_else_reads() -> None:
    joined = read(Applied(F.relu)).operations
    assert [type(operation) for operation in joined] == [Convolution, Pool]
    apart = read(Applied(lambda hidden: hidden + F.relu(hidden))).operations
    assert [type(operation) for operation in apart] == [Convolution, Clamp, Add, Pool]
    flat = read(nn.Sequential(nn.Conv2d(3, 4, 12), nn.Flatten(), nn.ReLU(), nn.ReLU6(), nn.Dropout(), nn.Identity()))
    assert [operation.bounds for operation in flat.operations] == [(0, 6)]


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (torch.sigmoid, "'sigmoid'"),
        (lambda hidden: torch.cat([hidden, hidden], 1), "'cat'"),
        (lambda hidden: hidden * hidden, "'mul' of two values"),
        (lambda hidden: hidden * -1.0, "'mul' with -1"),
        (lambda hidden: hidden.transpose(1, 2), "'permute'"),
        (lambda hidden: F.avg_pool2d(hidden, 3, ceil_mode=True), "ceil_mode"),
        (lambda hidden: F.max_pool2d(hidden, 2, dilation=2), "dilation"),
        (lambda hidden: F.adaptive_avg_pool2d(hidden, 3), "differ in size"),
        (lambda hidden: hidden + hidden.mean(dim=(2, 3), keepdim=True), "different shapes"),
        (lambda hidden: hidden.mean(dim=1, keepdim=True), "other axes"),
        (lambda hidden: hidden.reshape(1, 8, 5, 10), "to the shape"),
        (lambda hidden: F.layer_norm(hidden, (10,)), "layer_norm"),
    ],
)
def test_other_operations_are_refused_by_name(function: object, named: str) -> None:
    with pytest.raises(
        ConfigError, match=r"Format 'c' cannot hold the network 'Applied'.*Export to onnx or executorch"
    ) as raised:
        read(Applied(function))
    assert named in str(raised.value)


def test_a_transposed_convolution_is_refused() -> None:
    with pytest.raises(ConfigError, match="transposed"):
        read(nn.Sequential(nn.ConvTranspose2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def test_a_trunk_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"frozen network 'Conv2d' in front .* onnx or executorch"):
        read(ClassMaps(), trunk=nn.Conv2d(3, 3, 1))


def test_maps_are_no_logits() -> None:
    with pytest.raises(ConfigError, match=r"logits of the shape \(1, 4, 10, 10\)"):
        read(nn.Conv2d(3, 4, 3))
