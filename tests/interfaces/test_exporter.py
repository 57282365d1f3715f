"""The module that exporters are given computes what the classifier computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tina_framework.images import Preprocessing
from tina_framework.interfaces.exporter import Exporter, ExportNetwork, StatesFlash
from tina_framework.plugin.discovery import registries


@pytest.mark.parametrize("channels", [1, 3])
def test_standardisation_is_that_of_preprocessing(channels: int) -> None:
    mean, std = (0.3, 0.4, 0.5)[:channels], (0.2, 0.25, 0.3)[:channels]
    look = Preprocessing((channels, 5, 7), mean, std)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    network = ExportNetwork(nn.Flatten(), None, mean, std)
    torch.testing.assert_close(network.standardise(torch.from_numpy(pixels)), look(pixels), rtol=0, atol=1e-6)


def test_the_trunk_comes_first() -> None:
    network = ExportNetwork(nn.Linear(2, 2, bias=False), nn.Linear(3, 2, bias=False), (0.5,), (0.5,))
    images = torch.ones(1, 3)
    torch.testing.assert_close(network.logits(images), network.network(network.trunk(images)))  # type: ignore[misc]


@pytest.mark.parametrize("name", registries().exporters.names())
def test_built_ins_fulfil_the_protocol(name: str) -> None:
    assert isinstance(registries().exporters.create(name), Exporter)


def test_formats_for_devices_may_state_their_size() -> None:
    exporters = registries().exporters
    assert [name for name in exporters.names() if isinstance(exporters.create(name), StatesFlash)] == ["c"]
