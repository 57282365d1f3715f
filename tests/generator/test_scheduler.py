"""Which schedulers sample a generator."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.generator.comparison import assert_same
from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.generator.generator import Generator
from tina_framework.generator.scheduler import make_scheduler

NAMES = ["dog", "ant", "fox", "bee"]


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_a_named_scheduler_gets_the_trained_noise_process(tiny_generator: Generator, name: str) -> None:
    config = dataclasses.replace(
        tiny_generator.config,
        scheduler={
            "name": "ddim",
            "config": {"num_train_timesteps": 50, "beta_end": 0.3, "prediction_type": "epsilon"},
        },
    )
    made = make_scheduler(config, name)
    assert made.config["num_train_timesteps"] == 50
    assert made.config["beta_end"] == 0.3
    assert made.config["prediction_type"] == "epsilon"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DDPMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("UniPCMultistepScheduler", {"timestep_spacing": "trailing"}),
    ],
)
def test_diffusers_schedulers_fit(tiny_generator: Generator, name: str, settings: dict[str, Any]) -> None:
    diffusers = pytest.importorskip("diffusers")
    made = getattr(diffusers, name)(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, prediction_type="sample", **settings
    )
    model = tiny_generator(NAMES, scheduler=made, num_inference_steps=5)
    assert model.provenance["scheduler"] == name
    assert_same(
        model, tiny_generator([["ant", "cat", "eel", "gnu"], NAMES[::-1]], scheduler=made, num_inference_steps=5)[1]
    )
    if name == "DDIMScheduler":
        assert_same(model, tiny_generator(NAMES, num_inference_steps=5))


def test_schedulers_that_do_not_fit_are_refused(tiny_generator: Generator) -> None:
    diffusers = pytest.importorskip("diffusers")
    fitting = {"beta_start": 1e-4, "beta_end": 0.02, "prediction_type": "sample"}
    with pytest.raises(ConfigError, match=r"prediction_type='epsilon', but this generator was trained with 'sample'"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(beta_start=1e-4, beta_end=0.02, clip_sample=False))
    with pytest.raises(ConfigError, match="clip_sample=True, which cuts off weights"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(**fitting))
    with pytest.raises(ConfigError, match="The scheduler is 5; give the name of one"):
        tiny_generator(["ant", "bee"], scheduler=5)
    with pytest.raises(
        ConfigError,
        match="FlowMatchEulerDiscreteScheduler samples rectified flow, but this generator was trained for diff",
    ):
        tiny_generator(NAMES, scheduler=diffusers.FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ConfigError, match=r"flow-match-euler samples rectified flow, .* use one of: ddim, ddpm"):
        tiny_generator(NAMES, scheduler="flow-match-euler")
    with pytest.raises(ConfigError, match="EDMEulerScheduler has noise_process=None"):
        tiny_generator(NAMES, scheduler=diffusers.EDMEulerScheduler())
    with pytest.raises(UnknownNameError, match="Did you mean 'ddim'"):
        tiny_generator(NAMES, scheduler="ddimm")
