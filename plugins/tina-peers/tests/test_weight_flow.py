"""Principal components keep what they can, and Euler steps follow a straight path to its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_peers.inputs import TaskInputs
from tina_peers.setup import Setup
from tina_peers.weight_flow import WeightFlow, WeightFlowSettings


def make(make_setup: Callable[..., Setup], components: int, **changes: int) -> tuple[WeightFlow, Setup]:
    setup = make_setup("weight-flow")
    peer = setup.peer(WeightFlow, WeightFlowSettings(components=components, hidden=8, depth=1, **changes))
    assert isinstance(peer, WeightFlow)
    return peer, setup


def test_all_components_keep_everything(make_setup: Callable[..., Setup]) -> None:
    peer, setup = make(make_setup, 7)  # eight p-Models differ from their mean in seven directions
    peer.begin_phase(0, setup.all_p_models())
    shared = torch.cat([batch.shared for batch in setup.all_p_models()])
    reduced = peer._reduce(shared)
    torch.testing.assert_close(peer._expand(reduced), shared, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(reduced.square().mean(0), torch.ones(7), atol=1e-3, rtol=1e-3)


def test_more_components_than_p_models_are_refused(make_setup: Callable[..., Setup]) -> None:
    peer, setup = make(make_setup, 8)
    with pytest.raises(ConfigError, match="components is 8"):
        peer.begin_phase(0, setup.all_p_models())


@pytest.mark.parametrize("components", [0, 3])
def test_a_straight_path_is_followed_to_its_end(
    make_setup: Callable[..., Setup], components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, setup = make(make_setup, components, sampling_steps=4)
    peer.begin_phase(0, setup.all_p_models())
    end = torch.full((1, peer.width), 0.5), torch.full((1, 3, 33), -0.5)

    def flow(shared: Tensor, rows: Tensor, times: Tensor, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        left = 1 - times[0]
        return (end[0] - shared) / left, (end[1] - rows) / left

    monkeypatch.setattr(peer, "_flow", flow)
    names = setup.class_names[:3]
    inputs = TaskInputs([names], setup.conditions.of(names)[None], [torch.Generator().manual_seed(0)])
    shared, rows = peer.generate(inputs)
    torch.testing.assert_close(shared, peer._expand(end[0]))
    torch.testing.assert_close(rows, end[1])
