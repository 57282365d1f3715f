"""*tina*, *common* and *random-prompt*."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.context import Context
from tina_framework.evaluation.methods.common import Common
from tina_framework.evaluation.methods.random_prompt import RandomPrompt
from tina_framework.evaluation.methods.tina import Tina, parse_sampler
from tina_framework.evaluation.scoring import Network
from tina_framework.evaluation.vectors import unit
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


def test_common_keeps_the_rows_and_averages_the_rest(context: Context, tasks: list[Task]) -> None:
    spec = context.spec
    own, common = networks(Tina(context), tasks), networks(Common(context), tasks)
    shared: dict[int, list[torch.Tensor]] = {}
    for one, other in zip(own, common, strict=True):
        count = len(one.outputs)
        assert other.outputs == one.outputs
        mine, theirs = spec.unflatten(one.flat, count), spec.unflatten(other.flat, count)
        torch.testing.assert_close(mine["fc.weight"], theirs["fc.weight"])
        torch.testing.assert_close(mine["fc.bias"], theirs["fc.bias"])
        assert not torch.allclose(mine["conv2.weight"], theirs["conv2.weight"], atol=1e-5)
        shared.setdefault(count, []).append(theirs["conv2.weight"])
    for weights in shared.values():
        assert all(torch.equal(weight, weights[0]) for weight in weights)


def test_common_is_the_mean_over_training_tasks(context: Context, tasks: list[Task]) -> None:
    from tina_framework.zoo.task_sampler import TaskSampler

    count = len(tasks[0].classes)
    network = networks(Common(context), tasks[:1])[0]
    drawn = TaskSampler(context.generator.config.class_names, class_counts={count: 1.0}).tasks(64, allow_fewer=True)
    flats = [answer.flat for answer in networks(Tina(context), drawn)]
    mean = context.spec.unflatten(torch.stack(flats).mean(0), count)
    made = context.spec.unflatten(network.flat, count)
    torch.testing.assert_close(made["conv1.weight"], mean["conv1.weight"], rtol=1e-4, atol=1e-5)


def test_random_prompts_are_not_the_names_but_look_like_them(context: Context, tasks: list[Task]) -> None:
    method = RandomPrompt(context)
    method.prepare(tasks)
    random, named = method.conditions(tasks), Tina.conditions(method, tasks)
    for one, other in zip(random, named, strict=True):
        assert one.keys == other.keys
        assert one.vectors.shape == other.vectors.shape
        assert one.vectors.dtype == np.float32
        cosines = (unit(one.vectors) * unit(other.vectors)).sum(axis=1)
        assert np.abs(cosines).max() < 0.9
    many = np.concatenate([method._draw(random[0]) for method.context.seed in range(400)])
    known = unit(context.encoder.encode_text(context.dataset.class_names))
    np.testing.assert_allclose(many.mean(axis=0), known.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(many.std(axis=0), known.std(axis=0), rtol=0.2)


def test_random_prompts_depend_on_seed_and_task_alone(context: Context, tasks: list[Task]) -> None:
    method = RandomPrompt(context)
    together = networks(method, tasks)
    again = networks(RandomPrompt(context), tasks[:1])
    torch.testing.assert_close(again[0].flat, method.parameters(tasks[:1])[0].flat)  # type: ignore[union-attr]
    assert not torch.allclose(together[0].flat, networks(Tina(context), tasks[:1])[0].flat, atol=1e-3)
    first = method.conditions(tasks[:2])
    assert not np.allclose(first[0].vectors, first[1].vectors)
    np.testing.assert_array_equal(first[1].vectors, method.conditions(tasks[1:2])[0].vectors)
    method.context.seed += 1
    assert not np.allclose(first[0].vectors, method.conditions(tasks[:1])[0].vectors)
