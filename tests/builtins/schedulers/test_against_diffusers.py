"""Whole sampling loops, step by step, against diffusers with the same settings and the same noise."""

from __future__ import annotations

import diffusers
import pytest
import torch
from torch import Tensor

from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler

PREDICTION_TYPES = ["sample", "epsilon", "v_prediction"]
SPACINGS = ["trailing", "leading", "linspace"]
SHAPE = (2, 5, 7)


def fake_model(x: Tensor, t: int) -> Tensor:
    """Depends on the sample and the timestep, and keeps a long loop's values near 1."""
    return 0.3 * x + 0.1 * torch.cos(torch.arange(x[0].numel()).view(x.shape[1:]) + t / 100)


def compare_loops(ours, theirs, steps: int, *, last: bool = True, **step_arguments) -> None:
    ours.set_timesteps(steps)
    theirs.set_timesteps(steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    noise = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for i, t in enumerate(ours.timesteps):
        if i == steps - 1 and not last:
            return
        a = ours.step(fake_model(x, int(t)), t, x, generator=noise[0], **step_arguments)
        b = theirs.step(fake_model(y, int(t)), t, y, generator=noise[1], **step_arguments)
        torch.testing.assert_close(a.pred_original_sample, b.pred_original_sample, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a.prev_sample, b.prev_sample, atol=1e-5, rtol=1e-5)
        x, y = a.prev_sample, b.prev_sample
    assert x.abs().max() > 0.01  # the comparison was about something


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


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(DDPMScheduler, diffusers.DDPMScheduler), (DDIMScheduler, diffusers.DDIMScheduler)]
)
def test_beta_schedules_noise_and_velocity(ours, theirs, beta_schedule: str) -> None:
    a = ours(num_train_timesteps=200, beta_start=1e-3, beta_end=0.05, beta_schedule=beta_schedule)
    b = theirs.from_config(a.config)
    torch.testing.assert_close(a.betas, b.betas, atol=0, rtol=1e-6)
    torch.testing.assert_close(a.alphas_cumprod, b.alphas_cumprod, atol=0, rtol=1e-6)
    x0, noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    for t in (torch.tensor([0, 199]), torch.tensor([57, 3])):
        torch.testing.assert_close(a.add_noise(x0, noise, t), b.add_noise(x0, noise, t))
        torch.testing.assert_close(a.get_velocity(x0, noise, t), b.get_velocity(x0, noise, t))
    compare_loops(a, b, 10)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler])
def test_timesteps_for_every_step_count(scheduler, spacing: str) -> None:
    ours = scheduler(timestep_spacing=spacing)
    theirs = diffusers.DDPMScheduler.from_config(ours.config)
    for steps in range(1, 1001):
        ours.set_timesteps(steps)
        theirs.set_timesteps(steps)
        # diffusers gives one too many, ending in -1, for some counts with trailing spacing.
        assert ours.timesteps.tolist() == theirs.timesteps.tolist()[:steps]
        assert len(ours.timesteps) == steps
        assert int(ours.timesteps[-1]) >= 0


@pytest.mark.parametrize(
    ("ours", "theirs"), [(DDPMScheduler, diffusers.DDPMScheduler), (DDIMScheduler, diffusers.DDIMScheduler)]
)
def test_a_diffusers_configuration_can_be_read(ours, theirs) -> None:
    built = ours.from_config(theirs(clip_sample=False, prediction_type="v_prediction", num_train_timesteps=300).config)
    assert built.config["prediction_type"] == "v_prediction"
    assert built.config["timestep_spacing"] == "leading"
    assert len(built.alphas_cumprod) == 300


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
