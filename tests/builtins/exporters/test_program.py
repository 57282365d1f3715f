"""The graph from which formats are made."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from torch import nn

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource
from tina_framework.testing.checks.exporter import sample_source


def test_the_graph_takes_any_number_of_pictures_or_a_fixed_one() -> None:
    source = sample_source()
    module = exported_program(source).module()
    fixed = exported_program(source, batch=1).module()
    for count in (1, 2, 7):
        pixels = torch.randint(0, 256, (count, 12, 12, 3), dtype=torch.uint8)
        torch.testing.assert_close(module(pixels), source.network(pixels))
    torch.testing.assert_close(fixed(pixels[:1]), source.network(pixels[:1]))


class _WithoutGradients(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([features.mean((2, 3))] * 2, dim=1).relu()


def test_inner_graphs_hold_no_paths_either(tmp_path: Path) -> None:
    network = ExportNetwork(_WithoutGradients(), None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).eval()
    program = exported_program(ExportSource(network, (3, 12, 12), tuple("abcdef")))
    assert sum(isinstance(part, torch.fx.GraphModule) for part in program.graph_module.modules()) > 1
    written = io.BytesIO()
    torch.export.save(program, written)
    with zipfile.ZipFile(written) as archive:
        texts = b"".join(archive.read(name) for name in archive.namelist())
    assert Path(__file__).name.encode() not in texts
    assert b"def forward" not in texts
