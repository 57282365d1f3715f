"""Which noise process a scheduler samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch

from tina_framework.errors import ConfigError, PluginError
from tina_framework.interfaces.noise_process import NOISE_PROCESSES
from tina_framework.interfaces.scheduler import (
    PROCESS_NAMES,
    StepOutput,
    chosen_timesteps,
    next_sample,
    noise_process_of,
)
from tina_framework.plugin.discovery import registries


def test_every_registered_scheduler_states_its_process() -> None:
    stated = {name: registries().schedulers.create(name).noise_process for name in ("ddpm", "ddim", "flow-match-euler")}
    assert stated == {"ddpm": "diffusion", "ddim": "diffusion", "flow-match-euler": "flow"}
    assert tuple(NOISE_PROCESSES) == PROCESS_NAMES


@pytest.mark.parametrize(
    ("name", "settings", "process"),
    [
        ("DDIMScheduler", {}, "diffusion"),
        ("EulerDiscreteScheduler", {}, "diffusion"),
        ("UniPCMultistepScheduler", {}, "diffusion"),
        ("FlowMatchEulerDiscreteScheduler", {}, "flow"),
        ("FlowMatchHeunDiscreteScheduler", {}, "flow"),
        ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}, "flow"),
    ],
)
def test_schedulers_of_diffusers_are_read_from_their_settings(name: str, settings: Any, process: str) -> None:
    assert noise_process_of(getattr(diffusers, name)(**settings)) == process


def test_what_is_stated_counts_more_than_settings() -> None:
    assert noise_process_of(SimpleNamespace(noise_process="flow", config={"beta_start": 0.1})) == "flow"


@pytest.mark.parametrize("made", [SimpleNamespace(noise_process="ode"), SimpleNamespace(config={"sigma_max": 80}), 5])
def test_an_unknown_process_is_refused_with_the_remedy(made: Any) -> None:
    with pytest.raises(ConfigError, match="set its attribute noise_process to one of 'diffusion', 'flow'"):
        noise_process_of(made)


def test_a_step_output_has_both_samples() -> None:
    out: Any = StepOutput(prev_sample="x", pred_original_sample="x0")  # type: ignore[arg-type]
    assert (out.prev_sample, out.pred_original_sample) == ("x", "x0")


def fails(*given: Any, **more: Any) -> Any:
    raise KeyError("sigma")


@pytest.mark.parametrize(
    ("choose", "timesteps", "sentence"),
    [
        (fails, None, r"cannot choose 4 of its timesteps \(KeyError: 'sigma'\)"),
        (lambda steps: None, None, r"\.timesteps is None after set_timesteps\(4\); it must be a tensor \(S,\)"),
        (lambda steps: None, [3, 2], r"\.timesteps is \[3, 2\]"),
        (lambda steps: None, torch.empty(0), r"\.timesteps is tensor\(\[\]\)"),
    ],
)
def test_timesteps_that_cannot_be_used_are_refused(choose: Any, timesteps: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence):
        chosen_timesteps(SimpleNamespace(set_timesteps=choose, timesteps=timesteps), 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (fails, r"\.step failed at timestep 3 \(KeyError: 'sigma'\)"),
        (
            lambda *given: (given[2],),
            r"\.step returned \(tensor.*; return an object with prev_sample of the shape \(2, 1, 1\)",
        ),
        (lambda *given: StepOutput(given[2][0], given[2]), r"\.step returned StepOutput"),
        (lambda *given: None, r"\.step returned None"),
    ],
)
def test_a_step_that_goes_nowhere_is_refused(step: Any, sentence: str) -> None:
    sample = torch.zeros(2, 1, 1)
    with pytest.raises(PluginError, match=sentence):
        next_sample(SimpleNamespace(step=step), sample, torch.tensor(3), sample)  # type: ignore[arg-type]


def test_a_config_that_is_no_dict_is_refused() -> None:
    with pytest.raises(ConfigError, match="config=None; it must be a dict of its settings"):
        noise_process_of(SimpleNamespace(config=None))
