"""*common*: shared tensors averaged over training tasks."""

from __future__ import annotations

from typing import Any

import torch

from tina_framework.evaluation.methods.common import Common
from tina_framework.evaluation.methods.tina import Tina
from tina_framework.interfaces.method import Context, Network
from tina_framework.zoo.tasks import Task


def networks(method: Any, tasks: list[Task]) -> list[Network]:
    method.prepare(tasks)
    answers = method.parameters(tasks)
    assert all(isinstance(answer, Network) for answer in answers)
    return list(answers)


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
