"""*tina*: the generator's networks, with its own sampler or another one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods.common import Common
from tina_framework.evaluation.methods.tina import Tina, parse_sampler
from tina_framework.interfaces.method import Context, Network
from tina_framework.zoo.tasks import Task


def networks(method: Any, tasks: list[Task]) -> list[Network]:
    method.prepare(tasks)
    answers = method.parameters(tasks)
    assert all(isinstance(answer, Network) for answer in answers)
    return list(answers)


def test_tina_is_what_the_generator_makes(context: Context, tasks: list[Task]) -> None:
    context.seed = 5
    made = networks(Tina(context), tasks)
    for task, network in zip(tasks, made, strict=True):
        classifier = context.generator(list(task.classes), seed=5)
        state = dict(classifier.network.named_parameters())
        expected = context.spec.flatten(state, len(task.classes)).detach()
        torch.testing.assert_close(network.flat, expected, rtol=1e-4, atol=1e-5)
        assert network.outputs == task.classes


def test_more_classes_than_the_generator_makes_are_composed(context: Context) -> None:
    task = Task(context.generator.config.class_names[:11])
    tina, common = Tina(context), Common(context)
    [network] = networks(tina, [task])
    ensemble = context.generator(list(task.classes), compose=True)
    assert network.members == ensemble.members
    assert network.num_parameters == ensemble.num_parameters
    assert tina.describe() == "ddim, 4 steps; above 10 classes an ensemble"

    [shared] = networks(common, [task])
    merged = context.generator(list(task.classes), compose="merge")
    torch.testing.assert_close(shared.flat[-11:], merged.network.fc.bias.detach(), rtol=1e-4, atol=1e-5)
    assert shared.members is None
    assert common.describe().endswith("ddim, 4 steps; above 10 classes several merged into one")


def test_a_sampler_can_be_chosen(context: Context, tasks: list[Task]) -> None:
    default, few, ddpm = Tina(context), Tina(context, "2"), Tina(context, "ddpm:50")
    one, two, three = (networks(method, tasks[:1])[0].flat for method in (default, few, ddpm))
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)
    assert default.batch_size == ddpm.batch_size == 64
    assert default.describe() == "ddim, 4 steps"
    assert few.describe() == "ddim, 2 steps"
    assert ddpm.describe() == "ddpm, 50 steps"


def test_many_steps_run_in_smaller_batches(context: Context, tasks: list[Task]) -> None:
    method = Tina(context, "ddpm:1000")
    method.prepare(tasks)
    assert method.batch_size == 16
    assert Tina.batch_size == 64


def test_more_steps_than_the_noise_process_has_are_refused(context: Context, tasks: list[Task]) -> None:
    method = Tina(context, "ddpm:5000")
    method.prepare(tasks)
    with pytest.raises(ConfigError, match="5000"):
        method.parameters(tasks)


def test_samplers_are_read() -> None:
    assert parse_sampler("20") == (None, 20)
    assert parse_sampler("ddpm") == ("ddpm", None)
    assert parse_sampler("ddim:7") == ("ddim", 7)
