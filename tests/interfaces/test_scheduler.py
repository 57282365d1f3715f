"""Which noise process a scheduler samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import diffusers
import pytest

from tina_framework.errors import ConfigError
from tina_framework.interfaces.noise_process import NOISE_PROCESSES
from tina_framework.interfaces.scheduler import PROCESS_NAMES, StepOutput, noise_process_of
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
