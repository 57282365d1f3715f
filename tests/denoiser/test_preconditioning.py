"""What the denoiser is shown: the best linear guess of x0 where it predicts x0, else x_t itself."""

from __future__ import annotations

import pytest
import torch

from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.denoiser.preconditioning import model_input

ALPHAS = DDPMScheduler().alphas_cumprod


def test_it_is_the_best_linear_guess_of_x0():
    """Regressing x0 on x_t over many draws gives the factor; at the last step next to nothing is left."""
    draws = torch.Generator().manual_seed(0)
    for t in (0, 100, 300, 999):
        x0, noise = (torch.randn(1, 200, 1000, generator=draws) for _ in range(2))
        noisy = DDPMScheduler().add_noise(x0, noise, torch.tensor([t]))
        factor = float((x0 * noisy).sum() / noisy.square().sum())
        seen = model_input(noisy, torch.tensor([t]), ALPHAS, "sample")
        torch.testing.assert_close(seen, noisy * factor, atol=0.02, rtol=0.02)
    assert float(seen.std()) < 0.01


def test_every_row_has_its_own_timestep():
    noisy = torch.ones(3, 2, 4)
    seen = model_input(noisy, torch.tensor([0, 500, 999]), ALPHAS, "sample")
    for row, t in enumerate((0, 500, 999)):
        torch.testing.assert_close(seen[row], torch.full((2, 4), float(ALPHAS[t].sqrt())))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_other_types_see_x_t(prediction_type):
    noisy = torch.randn(2, 3, 4)
    assert model_input(noisy, torch.tensor([5, 999]), ALPHAS, prediction_type) is noisy


def test_fractional_timesteps_are_rounded_and_kept_in_range():
    noisy = torch.ones(2, 1, 1)
    seen = model_input(noisy, torch.tensor([499.6, 1200.0]), ALPHAS, "sample").flatten()
    torch.testing.assert_close(seen, ALPHAS[[500, 999]].sqrt())


def test_a_floor_bounds_the_factor_from_below():
    noisy, t = torch.ones(3, 1, 1), torch.tensor([0, 500, 999])
    seen = model_input(noisy, t, ALPHAS, "sample", 0.1).flatten()
    torch.testing.assert_close(seen, torch.tensor([float(ALPHAS[0].sqrt()), float(ALPHAS[500].sqrt()), 0.1]))
    assert torch.equal(model_input(noisy, t, ALPHAS, "sample", 1.0), noisy)
