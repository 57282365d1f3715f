"""The operations, and which of them read a value."""

from __future__ import annotations

import numpy as np

from tina_framework.builtins.exporters.c.operations import Add, Clamp, Convolution, Network, inputs_of


def test_readers() -> None:
    first, second, total = Clamp(0, (0, 1)), Convolution(0, np.ones((1, 1, 1, 1)), np.zeros(1)), Add(1, 2)
    network = Network((first, second, total), ((1, 1, 1),) * 4, 3)
    assert network.readers(0) == [first, second]
    assert network.readers(2) == [total]
    assert network.readers(3) == []
    assert inputs_of(total) == (1, 2)
