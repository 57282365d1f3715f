"""Sampling options: what is allowed, and what a generator fills in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be a whole number from 1 to 1,000,000"),
        ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5"),
        ({"num_inference_steps": True}, "num_inference_steps is True"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"num_samples": None}, "num_samples is None"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"seed": "x"}, "The seed is 'x'"),
        ({"seed": None}, "The seed is None"),
        ({"seed": True}, "The seed is True"),
        ({"seed": -1}, "The seed is -1; it must be a whole number from 0 to 2"),
        ({"seed": 2**70}, "The seed is 1180591620717411303424"),
        ({"batch_size": 10**12}, "batch_size is 1000000000000"),
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


def test_integers_of_numpy_become_plain() -> None:
    number: Any = np.int64(3)
    options = SamplingOptions(number, seed=number, num_samples=number, batch_size=number)
    values = (options.num_inference_steps, options.seed, options.num_samples, options.batch_size)
    assert [type(value) for value in values] == [int] * 4


def test_the_classifier_of_a_numpy_seed_is_saved(tiny_generator: Generator, tmp_path: Path) -> None:
    model = tiny_generator(["ant", "bee"], seed=np.random.default_rng(0).integers(9))
    model.save_pretrained(tmp_path / "classifier")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "classifier")
    assert loaded.provenance["seed"] == model.provenance["seed"] == 7


def test_a_generator_fills_in_steps_and_scheduler(tiny_generator: Generator) -> None:
    config, options = tiny_generator.config, SamplingOptions()
    assert (options.steps(config), options.scheduler_name(config)) == (4, "ddim")
    given = dataclasses.replace(options, num_inference_steps=7, scheduler="ddpm")
    assert (given.steps(config), given.scheduler_name(config)) == (7, "ddpm")
    assert SamplingOptions(scheduler=DDPMScheduler()).scheduler_name(config) == "DDPMScheduler"
