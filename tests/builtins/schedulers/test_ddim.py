"""Implicit sampling against diffusers, and what it refuses."""

from __future__ import annotations

import diffusers
import pytest
import torch

from tests.builtins.schedulers.loops import PREDICTION_TYPES, SPACINGS, compare_loops
from tina_framework.builtins.schedulers.ddim import DDIMScheduler


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 10, 50])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ddim_loop(prediction_type: str, spacing: str, steps: int, eta: float) -> None:
    ours = DDIMScheduler(prediction_type=prediction_type, timestep_spacing=spacing)
    compare_loops(ours, diffusers.DDIMScheduler.from_config(ours.config), steps, eta=eta)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ddim_loop_with_a_step_count_that_does_not_divide(prediction_type: str, spacing: str) -> None:
    # 1000 / 7 rounds up: with trailing spacing diffusers' last step ends at t = 0 instead of x0, ours never does.
    ours = DDIMScheduler(prediction_type=prediction_type, timestep_spacing=spacing)
    compare_loops(ours, diffusers.DDIMScheduler.from_config(ours.config), 7, last=spacing != "trailing")


def tensors(count: int, *shape: int) -> list[torch.Tensor]:
    return list(torch.randn(count, *shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_step_changes_nothing_that_it_is_given_and_keeps_the_wider_type(kind: torch.dtype) -> None:
    prediction, x = tensors(2, 2, 3, 4)
    for prediction_type in PREDICTION_TYPES:
        sampler = DDIMScheduler(prediction_type=prediction_type)
        sampler.set_timesteps(5)
        for output, sample in ((prediction.to(kind), x), (prediction, x.to(kind)), (prediction.requires_grad_(), x)):
            copies = output.detach().clone(), sample.clone()
            found = sampler.step(output, sampler.timesteps[0], sample).prev_sample
            assert torch.equal(output, copies[0])
            assert torch.equal(sample, copies[1])
            assert found.dtype == torch.promote_types(output.dtype, sample.dtype)
        assert found.requires_grad


def test_ddim_may_stop_at_the_noise_of_the_first_timestep() -> None:
    x0, x = tensors(2, 2, 3, 4)
    sampler = DDIMScheduler(set_alpha_to_one=False, prediction_type="v_prediction")
    sampler.set_timesteps(5)
    for t in sampler.timesteps:
        x = sampler.step(sampler.from_original_sample(x0, t, x), t, x).prev_sample
    assert 1e-3 < (x - x0).abs().max() < 0.1


def test_misuse_of_step_is_refused() -> None:
    x = torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match="call set_timesteps"):
        DDIMScheduler().step(x, 3, x)
    ddim = DDIMScheduler()
    ddim.set_timesteps(10)
    with pytest.raises(ValueError, match=r"eta is 1\.5"):
        ddim.step(x, 999, x, eta=1.5)
    with pytest.raises(ValueError, match="Timestep 1000 lies outside"):
        ddim.step(x, 1000, x)
