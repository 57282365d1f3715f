"""Novelty: copies and sameness are told apart from new networks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tina_framework.evaluation.novelty import Novelty, measure_novelty, nearest_distances, overlap, verdict
from tina_framework.evaluation.result_tables import novelty_sentence
from tina_framework.evaluation.scoring import Scorer
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.method import Context, MethodUnavailable
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

NEW = Novelty(50, 100, 1.0, 1.2, 1.0, 1.3, 1.4, 0.1, 0.5, 0.6)


@pytest.fixture
def scorer(spec: ParameterSpec, dataset: Any) -> Scorer:
    return Scorer(spec, ImageBank(dataset, "test", spec))


def made(context: Context, flats: dict[tuple[str, ...], Tensor]) -> Any:
    """The context's generator, but it gives these networks."""

    class Stand:
        normalizer, spec = context.generator.normalizer, context.generator.spec
        encoder, device, config = context.generator.encoder, context.generator.device, context.generator.config
        condition_space = context.generator.condition_space

        def generate_parameters(self, conditions: Any, options: SamplingOptions) -> list[Tensor]:
            draws = torch.Generator().manual_seed(options.seed)
            return [
                flats[c.class_names] + 1e-4 * torch.randn(flats[c.class_names].shape, generator=draws)
                for c in conditions
            ]

    return Stand()


def test_distances() -> None:
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    expected = torch.tensor([5.0, 1.0, 1.0]) / math.sqrt(2)
    torch.testing.assert_close(nearest_distances(rows).float(), expected)
    torch.testing.assert_close(
        nearest_distances(rows[1:], rows[:1]).float(), torch.tensor([5.0, 34**0.5]) / math.sqrt(2)
    )
    # Close rows far from the origin: a matrix product would have lost the difference.
    far = torch.full((2, 1000), 1000.0)
    far[1] += 1e-3
    torch.testing.assert_close(nearest_distances(far).float(), torch.full((2,), 1e-3), rtol=0.1, atol=0)


def test_overlap_of_mistakes() -> None:
    one, other = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one, one) == 1.0
    assert overlap(~one & one, ~one & one) == 0.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No copies: the nearest p-Model is 1.20 times as far"),
        ({"to_nearest": 0.3}, "Likely copies: the distance of a generated network to the nearest p-Model is 0.30"),
        (
            {"over_tasks": 0.07},
            "Hardly any difference between tasks: networks for different tasks differ by 0.05 of what",
        ),
    ],
)
def test_verdicts(changes: dict[str, float], sentence: str) -> None:
    assert verdict(dataclasses.replace(NEW, **changes)).startswith(sentence)


def test_a_generator_that_copies_the_zoo_is_caught(context: Context, zoo: Zoo, scorer: Scorer) -> None:
    tasks = [Task(entry.classes, "seen") for entry in zoo.entries]
    flats = {entry.classes: zoo.flat(entry.id) for entry in zoo.entries}
    found = measure_novelty(dataclasses.replace(context, generator=made(context, flats)), tasks, scorer)
    assert (found.tasks, found.models) == (4, 4)
    assert found.to_nearest < 0.01 * found.between_models
    assert found.over_tasks == pytest.approx(found.models_over_tasks, rel=0.01)
    assert found.errors_nearest == pytest.approx(1.0)  # the same network makes the same mistakes
    assert verdict(found).startswith("Likely copies")


def test_a_generator_that_gives_everybody_the_same_is_caught(context: Context, zoo: Zoo, scorer: Scorer) -> None:
    tasks = [Task(entry.classes, "seen") for entry in zoo.entries]
    spec = context.spec
    far = context.generator.normalizer.base_flat(3) + 50 * context.generator.normalizer.scale_flat(3)
    flats = {entry.classes: far.clone() for entry in zoo.entries}
    found = measure_novelty(dataclasses.replace(context, generator=made(context, flats)), tasks, scorer)
    assert found.to_base == pytest.approx(50, rel=0.01)
    assert found.over_tasks < 0.01 * found.models_over_tasks
    assert verdict(found).startswith("Hardly any difference")
    assert spec.num_parameters(3) == len(far)


def test_the_real_generator_is_measured_at_the_commonest_class_count(
    context: Context, tasks: list[Task], scorer: Scorer
) -> None:
    mixed = [*tasks, Task(("ant", "bee"), "unseen-combination"), Task(("ant", "cat"), "unseen-combination")]
    found = measure_novelty(context, mixed, scorer)
    assert found.tasks == len(tasks)
    assert found.over_seeds > 0
    assert found.to_json()["verdict"] == verdict(found)
    assert measure_novelty(context, mixed, scorer) == found


def test_without_a_zoo_it_says_why(context: Context, tasks: list[Task], scorer: Scorer) -> None:
    with pytest.raises(MethodUnavailable, match="there is no zoo"):
        measure_novelty(dataclasses.replace(context, zoo=None), tasks, scorer)
    with pytest.raises(MethodUnavailable, match="1 tasks are too few"):
        measure_novelty(context, tasks[:1], scorer)
    assert novelty_sentence({"reason": "there is no zoo"}) == "Novelty was not measured: there is no zoo."


def test_networks_of_class_rows_alone_cannot_be_compared(
    context: Context, tasks: list[Task], scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ParameterSpec(TargetArchitecture("rows", lambda k: nn.Sequential(nn.Flatten(), nn.Linear(3072, k))))
    monkeypatch.setattr(Context, "spec", rows)
    with pytest.raises(MethodUnavailable, match="all parameters of 'rows' belong to classes"):
        measure_novelty(context, tasks, scorer)
