"""`regression`: no noise, no rollouts, no p-Models; and the export says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.training.runs import draw
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.training import resume
from tina_framework.training.components import build_components
from tina_framework.training.export import make_generator
from tina_framework.training.objectives import TaskObjective
from tina_framework.training.regressor_heads import head_inputs
from tina_framework.training.run_state import RunState

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_the_denoiser_sees_zeros_at_the_last_timestep(make_config: Make) -> None:
    components = build_components(make_config(regression="true", denoise_weight=0, rollout_probability=1.0), CPU)
    (task,) = components.objectives
    assert isinstance(task, TaskObjective)
    rows = draw(task, 2, range(4), components.denoiser)
    assert not rows.noisy_BPD.any()
    assert rows.t_B.tolist() == [components.config.num_train_timesteps - 1] * 4
    # Tasks and images are those of a run with noise.
    other = build_components(make_config(denoise_weight=0, rollout_probability=0.0), CPU).objectives[0]
    same = draw(other, 2, range(4), components.denoiser)
    assert torch.equal(rows.condition_BKE, same.condition_BKE)
    assert same.noisy_BPD.any()


def test_the_export_answers_in_one_step_from_zeros(make_config: Make) -> None:
    components = build_components(make_config(regression="true", denoise_weight=0), CPU)
    config = make_generator(components, components.denoiser).config
    assert (config.initial_noise, config.num_inference_steps) == (False, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"denoise_weight": 0.1}, "adds no noise to p-Models"),
        ({"denoise_weight": 0, "prediction_type": "epsilon"}, "there is no noise to predict"),
    ],
)
def test_what_needs_noise_is_refused(make_config: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(regression="true", **changes)


def test_a_checkpoint_from_before_the_setting_can_be_resumed(make_config: Make) -> None:
    config = make_config(denoise_weight=0)
    saved = {name: value for name, value in config.to_json().items() if name != "regression"}
    state = RunState(1, 1, 0.0, 1, saved, {})

    def trainer(config: TrainingConfig) -> Any:
        components = SimpleNamespace(fingerprints={})
        return SimpleNamespace(config=config, accelerator=SimpleNamespace(num_processes=1), targets=[components])

    resume.check_same(trainer(config), Path("checkpoint"), state)
    with pytest.raises(CheckpointError, match=r"regression=False \(now True\)"):
        resume.check_same(trainer(make_config(denoise_weight=0, regression="true")), Path("checkpoint"), state)


def test_every_head_has_its_own_fixed_input(make_config: Make) -> None:
    settings = {"regression": "true", "denoise_weight": 0, "task_batch_size": 6}
    components = build_components(make_config(**settings, draws_per_task=3, input_floor=1), CPU)
    (task,) = components.objectives
    rows = draw(task, 2, range(6), components.denoiser)
    width = components.context.layout.token_width
    inputs = head_inputs(components.config.seed, 3, width)
    for row, noisy in enumerate(rows.noisy_BPD):
        assert torch.equal(noisy, inputs[row % 3].expand_as(noisy))
    later = draw(task, 5, range(6), components.denoiser)
    assert torch.equal(later.noisy_BPD, rows.noisy_BPD)
    seen = [
        build_components(make_config(**settings, input_floor=floor), CPU).context.model_input(rows.noisy_BPD, rows.t_B)
        for floor in (0, 1)
    ]
    assert torch.equal(seen[1], rows.noisy_BPD)  # without the floor, the heads would read almost the same
    assert float(seen[0].abs().max()) < 0.05
    # Head 0 reads zeros, which is where the exported generator starts.
    assert make_generator(components, components.denoiser).config.initial_noise is False
