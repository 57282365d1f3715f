"""A run of rectified flow: what the denoiser is shown and taught, and the generator that comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.training.runs import draw
from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.schedulers.flow_match_euler import FlowMatchEulerDiscreteScheduler
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.training.__main__ import main
from tina_framework.training.components import build_components
from tina_framework.training.objectives import DenoiseObjective, TaskObjective, loss_weights

FLOW: dict[str, Any] = {"scheduler": "flow-match-euler", "prediction_type": "flow_prediction"}
NAMES = ["ant", "bee", "cat", "dog"]
CPU = torch.device("cpu")

Make = Callable[..., TrainingConfig]


def objectives(config: TrainingConfig) -> tuple[Any, TaskObjective, DenoiseObjective]:
    components = build_components(config, CPU)
    task, denoise = components.objectives
    assert isinstance(task, TaskObjective)
    assert isinstance(denoise, DenoiseObjective)
    return components, task, denoise


@pytest.mark.parametrize("prediction_type", ["flow_prediction", "sample"])
def test_a_run_trains_saves_and_samples(settings: dict[str, Any], prediction_type: str) -> None:
    given = {**settings, **FLOW, "prediction_type": prediction_type, "shift": "2.0"}
    assert main([f"--{name}={value}" for name, value in given.items()]) == 0
    generator = Generator.from_pretrained(f"{given['output_dir']}/generator", encoder=given["encoders"])
    process = {"num_train_timesteps": 1000, "shift": 2.0, "prediction_type": prediction_type}
    assert generator.config.scheduler == {"name": "flow-match-euler", "config": process}
    one, again, four = (generator(NAMES, num_inference_steps=steps).state_dict() for steps in (1, 1, 4))
    for name in one:
        assert torch.equal(one[name], again[name])
        assert bool(torch.isfinite(four[name]).all())
    assert any(not torch.equal(one[name], four[name]) for name in one)

    for other in ("ddim", "ddpm"):
        with pytest.raises(
            ConfigError, match=rf"{other} samples diffusion, .* rectified flow; use one of: .*flow-match-euler"
        ):
            generator(NAMES, scheduler=other)
    with pytest.raises(ConfigError, match="DDIMScheduler samples diffusion"):
        generator(NAMES, scheduler=DDIMScheduler())
    with pytest.raises(ConfigError, match=r"shift=1\.0, but this generator was trained with 2\.0"):
        generator(NAMES, scheduler=FlowMatchEulerDiscreteScheduler(prediction_type=prediction_type))


def test_the_denoiser_sees_and_learns_a_straight_path(make_config: Make) -> None:
    components, _, denoise = objectives(make_config(**FLOW, shift=3.0))
    context = components.context
    rows = draw(denoise, 0, range(64), components.denoiser)
    s = context.process.sigmas[rows.t_B].view(-1, 1, 1)
    noise = context.noise("denoise-noise", 0, range(64))
    clean = noise - rows.extra["target"]
    torch.testing.assert_close(rows.noisy_BPD, (1 - s) * clean + s * noise, atol=1e-5, rtol=1e-5)
    seen = context.model_input(rows.noisy_BPD, rows.t_B)
    torch.testing.assert_close(seen, rows.noisy_BPD / ((1 - s) ** 2 + s**2).sqrt())


def test_a_sample_prediction_sees_the_best_linear_guess(make_config: Make) -> None:
    components, _, denoise = objectives(make_config(scheduler="flow-match-euler"))
    rows = draw(denoise, 0, range(8), components.denoiser)
    s = components.context.process.sigmas[rows.t_B].view(-1, 1, 1)
    seen = components.context.model_input(rows.noisy_BPD, rows.t_B)
    # Least squares of x0 on x_t where both noise and x0 have unit variance.
    torch.testing.assert_close(seen, rows.noisy_BPD * (1 - s) / ((1 - s) ** 2 + s**2), atol=1e-6, rtol=1e-4)


def test_rolled_out_rows_lie_on_the_path_from_the_own_forecast(make_config: Make) -> None:
    components, task, _ = objectives(make_config(**FLOW, rollout_probability=0.5))
    rows = draw(task, 0, range(16), components.denoiser)
    rolled = rows.t_B < 999
    assert 2 < int(rolled.sum()) < 14
    # An untrained denoiser says zero: the velocity is zero, and the forecast is the noise it was shown.
    start = components.context.noise("task-noise", 0, range(16))
    fresh = components.context.noise("task-rollout", 0, [i for i in range(16) if rolled[i]])
    s = components.context.process.sigmas[rows.t_B].view(-1, 1, 1)
    torch.testing.assert_close(rows.noisy_BPD[~rolled], start[~rolled])
    expected = (1 - s[rolled]) * start[rolled] + s[rolled] * fresh
    torch.testing.assert_close(rows.noisy_BPD[rolled], expected, atol=1e-5, rtol=1e-5)


def test_snr_weights_are_those_of_the_x0_error(make_config: Make) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=4)
    snr = ((1 - scheduler.sigmas) / scheduler.sigmas) ** 2
    expected = snr.clamp(max=5) / 5 * scheduler.sigmas**2
    torch.testing.assert_close(loss_weights(scheduler.alphas_cumprod, make_config(**FLOW, snr_gamma=5)), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"prediction_type": "flow_prediction", "pool_rank": 0},
            "expected sample or epsilon or v_prediction with .* ddim; .* flow-match-euler",
        ),
        (
            {**FLOW, "prediction_type": "v_prediction"},
            "expected flow_prediction or sample with .* flow-match-euler; v_prediction needs .* ddim",
        ),
        ({"shift": 2.0}, "expected 1 with scheduler ddim; a shift needs .* flow-match-euler"),
        ({**FLOW, "pool_rank": 2}, "the forecast is of clean tokens"),
    ],
)
def test_settings_of_two_processes_are_refused(make_config: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(**changes)
