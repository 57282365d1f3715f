"""The networks of this package as C: the compiled code computes the integers of the reference, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_edge_nets.mlp import edge_mlp
from tina_edge_nets.separable import cnn_separable
from tina_framework import TargetArchitecture
from tina_framework.builtins.exporters.c.compiled import compiled
from tina_framework.builtins.exporters.c.exporter import CExporter, integer_network
from tina_framework.builtins.exporters.c.reference import integer_logits
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource, Pixels

CLASSES = tuple("abcdefghij")

STRICT = ("-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def smooth_pictures(count: int, seed: int) -> Pixels:
    """Return pictures with edges and gradients, and some of noise alone."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (count, 4, 4, 3))
    noise = random.normal(0, 20, (count, 32, 32, 3))
    found = np.clip(small.repeat(8, axis=1).repeat(8, axis=2) + noise, 0, 255).astype(np.uint8)
    found[::5] = random.integers(0, 256, found[::5].shape)
    found[1] = 0
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="needs a C compiler like gcc")
@pytest.mark.parametrize("architecture", [cnn_separable, edge_mlp], ids=lambda a: a.name)
def test_c_code_equals_the_reference(architecture: TargetArchitecture, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = (
        ExportNetwork(architecture.build(10), None, architecture.mean, architecture.std).eval().requires_grad_(False)
    )
    source = ExportSource(network, architecture.input_shape, CLASSES, {}, smooth_pictures(20, 0))
    facts = CExporter().write(source, tmp_path / "pets")
    integers = integer_network(source)
    pixels = smooth_pictures(100, 1)
    wanted = integer_logits(integers, pixels)
    assert np.array_equal(compiled(tmp_path / "pets", STRICT).integer_logits(pixels), wanted)
    # Close to the real numbers as well, measured in standard deviations of the logits.
    real = network(torch.from_numpy(pixels)).numpy()
    assert (wanted * integers.logit_scale - real).std() < 0.1 * (real - real.mean(axis=0)).std()
    assert facts["constant_bytes"] < 1.5 * sum(parameter.numel() for parameter in network.parameters())
