"""The flash memory of an architecture, beside that of real exports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tina_framework.builtins.exporters.c.exporter import CExporter
from tina_framework.classifier.exporting.comparison import made_up_pictures
from tina_framework.classifier.exporting.flash import flash_bytes
from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource
from tina_framework.plugin.discovery import registries

NAMES = ("ant", "bee", "a large grey elephant", "ça")


class Head(nn.Module):
    """A network whose last operation the format does not know."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(8, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.last(features.flatten(1)[:, :8]).erf()
        return logits


@pytest.mark.parametrize("name", ["cnn-2layer@0.5", "cnn-2layer", "cnn-2layer@1.5", "cnn-3layer"])
def test_it_is_that_of_a_real_export(name: str, tmp_path: Path) -> None:
    architecture = registries().architectures.create(name)
    network = ExportNetwork(architecture.build(len(NAMES)), None, architecture.mean, architecture.std).eval()
    pixels = made_up_pictures(architecture.input_shape[1:], 4)
    source = ExportSource(network.requires_grad_(False), architecture.input_shape, NAMES, {}, pixels)
    facts = CExporter().write(source, tmp_path / "pets")
    assert flash_bytes(architecture, NAMES) == facts["constant_bytes"]


def test_random_numbers_of_the_caller_stay() -> None:
    architecture = registries().architectures.create("cnn-2layer")
    torch.manual_seed(5)
    flash_bytes(architecture, NAMES)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))


def test_what_the_format_cannot_hold_is_refused() -> None:
    odd = TargetArchitecture("odd", Head, input_shape=(3, 4, 4))
    with pytest.raises(ConfigError, match="Format 'c' cannot hold the network 'Head': it does not know"):
        flash_bytes(odd, NAMES)
    trunk = FrozenTrunk("shuffle", nn.Flatten, (48,))
    behind = TargetArchitecture("behind", lambda k: nn.Linear(48, k), input_shape=(3, 4, 4), trunk=trunk)
    with pytest.raises(ConfigError, match="cannot hold the frozen network 'Flatten'"):
        flash_bytes(behind, NAMES)


def test_formats_without_sizes() -> None:
    architecture = registries().architectures.create("cnn-2layer")
    with pytest.raises(ConfigError, match="Format 'torch-export' does not tell how much flash memory"):
        flash_bytes(architecture, NAMES, "torch-export")
    with pytest.raises(UnknownNameError):
        flash_bytes(architecture, NAMES, "d")
