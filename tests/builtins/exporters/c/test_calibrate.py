"""Running a network with real numbers, to see its ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.builtins.exporters.c.samples import everything, pictures
from tina_framework.builtins.exporters.c.calibrate import ranges_of
from tina_framework.builtins.exporters.c.graph import read_network
from tina_framework.errors import ConfigError


def test_ranges_contain_zero_and_all_values() -> None:
    source = everything()
    network = read_network(source.network, source.input_shape)
    pixels = pictures(40)
    ranges = ranges_of(network, source.network, pixels)
    assert all(low <= 0 <= high for low, high in ranges)
    logits = source.network(torch.from_numpy(pixels))
    assert ranges[network.output] == pytest.approx((min(0, float(logits.min())), max(0, float(logits.max()))), rel=1e-4)
    standardised = source.network.standardise(torch.from_numpy(pixels))
    assert ranges[0] == pytest.approx((float(standardised.min()), float(standardised.max())))
    assert ranges[1][1] <= 6


def test_a_network_that_was_misread_is_refused() -> None:
    source = everything()
    network = read_network(source.network, source.input_shape)
    last = network.operations[-1]
    wrong = replace(network, operations=(*network.operations[:-1], replace(last, bias=np.ones(3))))  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="misreads this network"):
        ranges_of(wrong, source.network, pictures(4))


def test_logits_that_are_not_finite_are_refused() -> None:
    source = everything()
    network = read_network(source.network, source.input_shape)
    with torch.no_grad():
        source.network.network.get_parameter("last.weight").fill_(float("inf"))
    with pytest.raises(ConfigError, match="not finite"):
        ranges_of(network, source.network, pictures(4))
