"""Ancestral sampling against diffusers, and what it refuses."""

from __future__ import annotations

import diffusers
import pytest
import torch

from tests.builtins.schedulers.loops import PREDICTION_TYPES, SHAPE, SPACINGS, compare_loops, fake_model
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.errors import ConfigError


@pytest.mark.parametrize("steps", [1, 7, 10, 50])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ddpm_loop(prediction_type: str, spacing: str, steps: int) -> None:
    ours = DDPMScheduler(prediction_type=prediction_type, timestep_spacing=spacing)
    compare_loops(ours, diffusers.DDPMScheduler.from_config(ours.config), steps)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ddpm_loop_over_all_timesteps(prediction_type: str) -> None:
    ours = DDPMScheduler(prediction_type=prediction_type)
    compare_loops(ours, diffusers.DDPMScheduler.from_config(ours.config), 1000)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ddpm_with_the_large_variance(prediction_type: str) -> None:
    ours = DDPMScheduler(prediction_type=prediction_type, variance_type="fixed_large", timestep_spacing="leading")
    compare_loops(ours, diffusers.DDPMScheduler.from_config(ours.config), 20)


@pytest.mark.parametrize("per_row", [False, True])
def test_generators_draw_what_diffusers_draws(per_row: bool) -> None:
    ours = DDPMScheduler()
    theirs = diffusers.DDPMScheduler.from_config(ours.config)
    ours.set_timesteps(10)
    theirs.set_timesteps(10)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))

    def generators():
        made = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
        return made if per_row else made[0]

    t = ours.timesteps[3]
    a = ours.step(fake_model(x, int(t)), t, x, generator=generators()).prev_sample
    b = theirs.step(fake_model(x, int(t)), t, x, generator=generators()).prev_sample
    torch.testing.assert_close(a, b)


def test_misuse_of_step_is_refused() -> None:
    x = torch.zeros(1, 2, 2)
    ddpm = DDPMScheduler()
    ddpm.set_timesteps(10)
    with pytest.raises(ValueError, match="Timestep 998 is not among the 10"):
        ddpm.step(x, 998, x)
    with pytest.raises(ConfigError, match="variance_type is 'learned'"):
        DDPMScheduler(variance_type="learned")
