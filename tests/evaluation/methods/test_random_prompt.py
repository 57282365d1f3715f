"""*random-prompt*: random vectors with the statistics of the encoder's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tina_framework.evaluation.methods.random_prompt import RandomPrompt
from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.vectors import unit
from tina_framework.interfaces.method import Context, Network
from tina_framework.zoo.tasks import Task


def networks(method: Any, tasks: list[Task]) -> list[Network]:
    method.prepare(tasks)
    answers = method.parameters(tasks)
    assert all(isinstance(answer, Network) for answer in answers)
    return list(answers)


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
