"""Scales change whole channels of the generic model and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tina_framework import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.differences import Differences
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


def test_shifts_of_biases_are_in_units_of_their_spread() -> None:
    def build(count: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, count),
        )

    differences = Differences(ParameterSpec(TargetArchitecture(name="biased", build=build)), 6)
    sizes = [info.numel for info in differences.shared_tensors]
    names = [info.name for info in differences.shared_tensors]
    differences.base_S.copy_(torch.randn(differences.shared, generator=torch.Generator().manual_seed(0)))
    spread = {name: 0.1 * (place + 1) for place, name in enumerate(names)}
    differences.scale_S.copy_(torch.cat([torch.full((n,), spread[name]) for n, name in zip(sizes, names, strict=True)]))
    peer = NormOnly(
        NormOnlySettings(hidden=8, depth=1, strength=0.5), differences, ConditionSpace("test", torch.zeros(6), 1.0)
    )
    with torch.no_grad():
        peer.hypernetwork.write_task.bias.fill_(2.0)
        inputs = TaskInputs([("a", "b")], torch.randn(1, 2, 6), [torch.Generator()])
        shared, _ = differences.split(peer.networks(inputs)[0], 2)
    for name, base, written in zip(names, differences.base_S.split(sizes), shared.split(sizes), strict=True):
        wanted = base + 0.5 * 2.0 * spread[name] if name.endswith("bias") else base * torch.tensor(1.0).exp()
        torch.testing.assert_close(written, wanted)
    assert {"0.bias", "2.bias", "0.weight", "2.weight"} == set(names)
