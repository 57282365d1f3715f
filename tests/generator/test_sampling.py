"""Sampling tokens: the same seed gives the same network, and other seeds give others."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch

from tests.generator.comparison import assert_differ, state_of
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.denoiser.preconditioning import model_input
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.generator.sampling import task_draws
from tina_framework.prompts.encoded_task import encode_task

NAMES = ["dog", "ant", "fox", "bee"]


def test_draws_depend_on_everything_they_should() -> None:
    def draw(*arguments: Any) -> list[float]:
        return list(torch.randn(3, generator=task_draws(*arguments)).tolist())

    base = draw(0, 0, ["a", "b"])
    assert base == draw(0, 0, ["a", "b"])
    others = [draw(1, 0, ["a", "b"]), draw(0, 1, ["a", "b"]), draw(0, 0, ["a", "c"]), draw(-1, 0, ["a", "b"])]
    assert all(base != other for other in others)
    assert draw(0, 0, ["a b"]) != base
    assert len(draw(2**80, 0, ["a"])) == 3


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_the_same_seed_gives_the_same_model(tiny_generator: Generator, scheduler: str) -> None:
    first = tiny_generator(NAMES, seed=7, scheduler=scheduler)
    torch.manual_seed(12345)  # the global state must not matter
    again = tiny_generator(NAMES, seed=7, scheduler=scheduler)
    for name, tensor in state_of(first).items():
        assert torch.equal(tensor, state_of(again)[name])
    assert_differ(first, tiny_generator(NAMES, seed=8, scheduler=scheduler))


def test_spelling_changes_no_noise(tiny_generator: Generator) -> None:
    loud = tiny_generator([name.upper() for name in NAMES])  # the toy encoder ignores case
    assert loud.class_names == ("DOG", "ANT", "FOX", "BEE")
    for name, tensor in state_of(tiny_generator(NAMES)).items():
        assert torch.equal(tensor, state_of(loud)[name])


def test_a_floor_lets_the_noise_through(tiny_generator: Generator) -> None:
    """The first step of a generator with `input_floor` 1 reads all noise, so its networks differ more."""
    condition = [encode_task(sorted(NAMES), tiny_generator.encoder)]
    options = SamplingOptions(num_inference_steps=1, num_samples=2)
    first, second = tiny_generator.generate_parameters(condition, options)
    open_ended = copy.deepcopy(tiny_generator)
    open_ended.denoiser.config = dataclasses.replace(tiny_generator.denoiser.config, input_floor=1.0)
    third, fourth = open_ended.generate_parameters(condition, options)
    assert float((third - fourth).norm()) > 10 * float((first - second).norm())


def test_one_step_is_regression(tiny_generator: Generator) -> None:
    """From x_T, a predictor of x0 is asked once, and its answer is the result."""
    condition = encode_task(sorted(NAMES), tiny_generator.encoder)
    [flat] = tiny_generator.generate_parameters([condition], SamplingOptions(num_inference_steps=1))
    layout = tiny_generator.layout(4)
    noise = torch.randn(layout.num_tokens, layout.token_width, generator=task_draws(0, 0, sorted(NAMES)))[None]
    vectors = tiny_generator.condition_space.apply(condition.vectors)[None]
    with torch.no_grad():
        last = torch.tensor([999])
        seen = model_input(noise, last, DDPMScheduler().alphas_cumprod, "sample")
        answer = tiny_generator.denoiser(vectors, torch.ones(1, 4, dtype=torch.bool), seen, last, layout)
    expected = tiny_generator.normalizer.denormalize(layout.scatter(answer), 4)[0]
    torch.testing.assert_close(flat, expected, atol=1e-5, rtol=1e-4)
