"""The graph from which formats are made."""

from __future__ import annotations

import torch

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.testing.checks.exporter import sample_source


def test_the_graph_takes_any_number_of_pictures_or_a_fixed_one() -> None:
    source = sample_source()
    module = exported_program(source).module()
    fixed = exported_program(source, batch=1).module()
    for count in (1, 2, 7):
        pixels = torch.randint(0, 256, (count, 12, 12, 3), dtype=torch.uint8)
        torch.testing.assert_close(module(pixels), source.network(pixels))
    torch.testing.assert_close(fixed(pixels[:1]), source.network(pixels[:1]))
