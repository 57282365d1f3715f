"""Equalised channels change nothing; rounded weights lie on the steps of the converters and cost less than the nearest ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tina_framework.builtins.exporters.int8 import LEVELS, equalised, prepared, rounded, rounded_weights
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource
from tina_framework.testing.checks.exporter import sample_source


class _Residual(nn.Module):
    """Two blocks around a residual connection, with a depthwise convolution and one padded by name."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.narrow = nn.Conv2d(8, 6, 1)
        self.wide = nn.Conv2d(6, 12, 1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding="same", groups=12)
        self.back = nn.Conv2d(12, 6, 1, bias=False)
        self.top = nn.Conv2d(6, 8, 1)
        self.fc = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        narrow = self.narrow(torch.relu(self.stem(images)))
        hidden = self.back(torch.relu(self.depthwise(torch.relu(self.wide(narrow)))))
        logits: Tensor = self.fc(torch.relu(self.top(hidden + narrow)).mean((2, 3)))
        return logits


@pytest.fixture
def source() -> ExportSource:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _Residual()
        with torch.no_grad():
            network.narrow.weight[0] *= 50  # one channel with a far larger range
        whole = ExportNetwork(network, None, (0.5,) * 3, (0.5,) * 3).eval().requires_grad_(False)
    return replace(sample_source(int8=True), network=whole)


def _pixels(source: ExportSource) -> Tensor:
    assert source.calibration is not None
    return torch.from_numpy(source.calibration)


def _weights(source: ExportSource) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in source.network.state_dict().items()
        if value.dim() == 4 and "std" not in name and "mean" not in name
    }


def test_equalised_networks_compute_the_same(source: ExportSource) -> None:
    pixels = _pixels(source)
    found = equalised(source, pixels)
    torch.testing.assert_close(found.network(pixels), source.network(pixels), rtol=1e-4, atol=1e-4)
    before, after = (one.network.state_dict()["network.narrow.weight"].abs().amax((1, 2, 3)) for one in (source, found))
    assert after.max() / after.min() < 0.5 * before.max() / before.min()


def test_weights_lie_on_the_steps(source: ExportSource) -> None:
    before = _weights(source)
    for name, weight in _weights(rounded(source, _pixels(source))).items():
        largest = weight.abs().amax((1, 2, 3), keepdim=True)
        torch.testing.assert_close(largest, before[name].abs().amax((1, 2, 3), keepdim=True))
        levels = weight / (largest / LEVELS)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)


def test_rounding_costs_less_than_the_nearest_step() -> None:
    random = torch.Generator().manual_seed(0)
    weights = torch.randn((2, 5, 30), generator=random)
    inputs = torch.randn((2, 400, 30), generator=random) @ torch.randn((2, 30, 30), generator=random)
    products = inputs.transpose(1, 2) @ inputs
    step = weights.abs().amax(2, keepdim=True) / LEVELS
    nearest = (weights / step).round() * step

    def error(rounded: Tensor) -> float:
        return (inputs @ (weights - rounded).transpose(1, 2)).square().mean().item()

    assert error(rounded_weights(weights, products)) < 0.5 * error(nearest)


def test_inputs_that_are_always_zero() -> None:
    products = torch.zeros((1, 4, 4))
    products[0, 0, 0] = 3.0
    weights = torch.tensor([[[1.27, 0.5, -0.301, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    found = rounded_weights(weights, products)
    torch.testing.assert_close(found, torch.tensor([[[1.27, 0.5, -0.3, 0.0], [0.0, 0.0, 0.0, 0.0]]]))


def test_the_bias_takes_up_the_mean_error(source: ExportSource) -> None:
    pixels = _pixels(source)
    found = rounded(source, pixels)
    error = (found.network(pixels) - source.network(pixels)).mean(0)
    assert error.abs().max() < 0.05 * source.network(pixels).std()


def test_nothing_of_the_source_changes_and_results_repeat(source: ExportSource) -> None:
    before = {name: value.clone() for name, value in source.network.state_dict().items()}
    first, second = (prepared(source).network.state_dict() for _ in range(2))
    for name, value in source.network.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(first[name], second[name])


def test_many_pictures_are_thinned_out(source: ExportSource) -> None:
    calibration = np.random.default_rng(0).integers(0, 256, (600, 12, 12, 3), dtype=np.uint8)
    assert prepared(replace(source, calibration=calibration)).calibration is calibration


def test_a_network_without_convolutions(source: ExportSource) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 3))
    whole = ExportNetwork(network, None, (0.5,) * 3, (0.5,) * 3).eval().requires_grad_(False)
    with pytest.raises(ConfigError, match="no convolution"):
        prepared(replace(source, network=whole))
