"""Draws on their way to the device."""

from __future__ import annotations

import pytest
import torch

from tests.playing_device import DEVICE, PlayedDevice, on_device
from tests.training.runs import Make
from tina_framework.training.components import build_components
from tina_framework.training.draws import Draws, place


def drawn() -> list[Draws]:
    rng = torch.Generator().manual_seed(0)
    first = {"noise": torch.randn(2, 3, 5, generator=rng), "t": torch.tensor([3, 4]), "none": torch.zeros(0, 4)}
    second = {"noise": torch.randn(1, 7, generator=rng), "wide": torch.tensor([[2**40, -1]])}
    return [Draws(4, [0, 1], first), Draws(4, [5], second)]


def test_on_the_cpu_draws_stay_what_they_are() -> None:
    draws = drawn()
    placed = place(draws, torch.device("cpu"))
    assert all(ours is theirs for ours, theirs in zip(placed, draws, strict=True))


def test_on_a_device_each_type_of_number_is_uploaded_once() -> None:
    draws = drawn()
    with PlayedDevice() as played:
        placed = place(draws, DEVICE)
        assert [c.kind for c in played.crossings] == ["upload", "upload"]
        for ours, theirs in zip(placed, draws, strict=True):
            assert (ours.step, ours.indices) == (theirs.step, theirs.indices)
            assert ours.tensors.keys() == theirs.tensors.keys()
            for name, tensor in ours.tensors.items():
                assert on_device(tensor)
                assert tensor.dtype == theirs.tensors[name].dtype
                assert torch.equal(tensor.cpu(), theirs.tensors[name])


@pytest.mark.parametrize("name", ["task", "denoise"])
def test_an_objective_draws_on_the_host_and_makes_its_batch_on_the_device(make_config: Make, name: str) -> None:
    with PlayedDevice():
        components = build_components(make_config(rollout_probability=0.5), DEVICE)
        components.denoiser.to(DEVICE)
        objective = next(o for o in components.objectives if o.name == name)
        draws = objective.draw(0, range(8))
        assert not any(map(on_device, draws.tensors.values()))
        batch = objective.batch(*place([draws], DEVICE), components.denoiser)
        assert all(map(on_device, (batch.condition_BKE, batch.class_mask_BK, batch.noisy_BPD, batch.t_B)))
