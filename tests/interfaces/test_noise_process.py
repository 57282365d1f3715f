"""The two noise processes: what training shows and teaches, and that a scheduler's own process is that."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import ConfigError, PluginError
from tina_framework.interfaces.noise_process import (
    BETA_SCHEDULES,
    NOISE_PROCESSES,
    DiffusionProcess,
    FlowProcess,
    NoiseProcess,
    process_sampled_by,
)
from tina_framework.plugin.discovery import registries

KINDS = [(process, kind) for process in NOISE_PROCESSES.values() for kind in process.prediction_types]


def pair(seed: int) -> list[torch.Tensor]:
    return list(torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize(("process", "kind"), KINDS)
@given(seed=st.integers(0, 1000), t=st.integers(0, 99))
def test_the_target_implies_x0(process: Any, kind: str, seed: int, t: int) -> None:
    made: NoiseProcess = process(num_train_timesteps=100, prediction_type=kind)
    x0, noise = pair(seed)
    t_B = torch.tensor([0, t, 99])
    x_t = made.add_noise(x0, noise, t_B)
    target = made.prediction_target(x0, noise, t_B)
    torch.testing.assert_close(made.predict_original_sample(target, t_B, x_t), x0, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("process", NOISE_PROCESSES.values())
def test_the_denoiser_is_shown_unit_variance(process: Any) -> None:
    made = process()
    x0, noise = pair(0)
    t_B = torch.tensor([0, 500, 999])
    share = made.alphas_cumprod[t_B].view(-1, 1, 1)
    seen = made.scale_model_input(made.add_noise(x0, noise, t_B), t_B)
    torch.testing.assert_close(seen, share.sqrt() * x0 + (1 - share).sqrt() * noise, atol=1e-4, rtol=1e-4)
    assert bool((made.alphas_cumprod.diff() < 0).all())
    with pytest.raises(ValueError, match=r"Timestep 1000 lies outside 0\.\.999"):
        made.predict_original_sample(x0, 1000, x0) if process is DiffusionProcess else made.scale_model_input(x0, 1000)


@pytest.mark.parametrize("schedule", BETA_SCHEDULES)
def test_betas_stay_below_one(schedule: str) -> None:
    made = DiffusionProcess(50, 1e-3, 0.3, schedule)
    assert bool(((made.betas > 0) & (made.betas < 1)).all())
    torch.testing.assert_close(made.alphas_cumprod, torch.cumprod(1 - made.betas, 0))


def test_the_velocity_of_flow_is_the_same_everywhere() -> None:
    x0, noise = pair(1)
    made = FlowProcess(shift=3.0)
    near, far = made.add_noise(x0, noise, 200), made.add_noise(x0, noise, 201)
    step = made.sigmas[201] - made.sigmas[200]
    torch.testing.assert_close((far - near) / step, made.get_velocity(x0, noise), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("process", "settings", "sentence"),
    [
        (DiffusionProcess, {"beta_start": 0.3, "beta_end": 0.2}, "beta_start=0.3 and beta_end=0.2"),
        (DiffusionProcess, {"beta_schedule": "cosine"}, "beta_schedule is 'cosine'; it must be one of linear"),
        (DiffusionProcess, {"prediction_type": "flow_prediction"}, "must be one of sample, epsilon, v_prediction"),
        (DiffusionProcess, {"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        (
            DiffusionProcess,
            {"num_train_timesteps": 10**9},
            "num_train_timesteps is 1000000000; it must be an integer from",
        ),
        (FlowProcess, {"shift": 0}, "shift is 0; it must be a number above 0"),
        (FlowProcess, {"prediction_type": "epsilon"}, "must be one of flow_prediction, sample"),
    ],
)
def test_settings_out_of_range_are_refused(process: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        process(**settings)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "flow-match-euler"])
def test_a_scheduler_and_its_process_are_bit_identical(name: str) -> None:
    made = registries().schedulers.create(name, num_train_timesteps=70)
    process = process_sampled_by(made)
    assert process.noise_process == made.noise_process
    assert torch.equal(process.alphas_cumprod, made.alphas_cumprod)
    x0, noise = pair(2)
    t_B = torch.tensor([0, 30, 69])
    assert torch.equal(process.add_noise(x0, noise, t_B), made.add_noise(x0, noise, t_B))


def test_a_scheduler_of_another_curve_is_refused() -> None:
    made = registries().schedulers.create("ddim")
    made.alphas_cumprod = made.alphas_cumprod**2
    with pytest.raises(
        PluginError, match="its alphas_cumprod does not follow from its settings num_train_timesteps, beta"
    ):
        process_sampled_by(made)
