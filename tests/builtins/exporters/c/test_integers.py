"""The network of integers."""

from __future__ import annotations

from tests.builtins.exporters.c.samples import everything
from tina_framework.builtins.exporters.c.exporter import integer_network


def test_every_value_has_a_shape_and_a_quantisation() -> None:
    network = integer_network(everything())
    assert len(network.shapes) == len(network.quantisations) == len(network.operations) + 1
    assert network.logit_scale == network.quantisations[-1].scale > 0
