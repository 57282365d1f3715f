"""Sampling options: what is allowed, and what a generator fills in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be an integer of at least 1"),
        ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5"),
        ({"num_inference_steps": True}, "num_inference_steps is True"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"num_samples": None}, "num_samples is None"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"seed": "x"}, "The seed is 'x'"),
        ({"seed": None}, "The seed is None"),
        ({"compose": "merged"}, "compose is 'merged'; choose True or 'ensemble', 'merge', or False"),
        ({"compose": 1}, "compose is 1"),
        ({"compose": None}, "compose is None"),
        ({"compose": np.array(["merge"])}, "compose is array"),
    ],
)
def test_wrong_values_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SamplingOptions(**settings)


def test_compose_names_a_method() -> None:
    methods = [SamplingOptions(compose=given).compose_method for given in (False, True, "ensemble", "merge")]  # type: ignore[arg-type]
    assert methods == [None, "ensemble", "ensemble", "merge"]


def test_integers_of_numpy_are_seeds() -> None:
    assert SamplingOptions(seed=np.int64(3)).seed == 3  # type: ignore[arg-type]


def test_a_generator_fills_in_steps_and_scheduler(tiny_generator: Generator) -> None:
    config, options = tiny_generator.config, SamplingOptions()
    assert (options.steps(config), options.scheduler_name(config)) == (4, "ddim")
    given = dataclasses.replace(options, num_inference_steps=7, scheduler="ddpm")
    assert (given.steps(config), given.scheduler_name(config)) == (7, "ddpm")
    assert SamplingOptions(scheduler=DDPMScheduler()).scheduler_name(config) == "DDPMScheduler"
