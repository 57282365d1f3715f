"""Scales change whole channels of the generic model and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tina_peers.inputs import TaskInputs
from tina_peers.norm_only import NormOnly, NormOnlySettings
from tina_peers.setup import Setup


@pytest.mark.parametrize("scale_inputs", [False, True])
def test_convolutions_are_scaled_by_channels(make_setup: Callable[..., Setup], scale_inputs: bool) -> None:
    setup = make_setup("norm-only")
    peer = setup.peer(NormOnly, NormOnlySettings(hidden=8, depth=1, scale_inputs=scale_inputs))
    names = setup.class_names[:3]
    inputs = TaskInputs([names], setup.conditions.of(names)[None], [torch.Generator()])
    with torch.no_grad():
        shared, rows = peer.generate(inputs)
        assert float(shared.abs().max()) < 1e-3  # untrained: the generic model
        assert float(rows.abs().max()) == 0
        for parameter in peer.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        state = setup.spec.unflatten(peer.networks(inputs)[0], 3)
    for name in ("conv1.weight", "conv2.weight"):
        ratio = state[name] / setup.zoo.generic[name]
        # Of rank one, after the logarithm a sum of one number for each output and one for each input channel.
        logs = ratio.log().mean((2, 3))
        torch.testing.assert_close(ratio.log(), logs[:, :, None, None].expand_as(ratio), atol=1e-3, rtol=1e-3)
        inner = logs - logs.mean(1, keepdim=True)
        torch.testing.assert_close(inner, inner.mean(0, keepdim=True).expand_as(inner), atol=1e-3, rtol=1e-3)
        assert bool((inner.abs().max() > 1e-3) == scale_inputs)
