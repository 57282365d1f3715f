"""Random prompts and common shared tensors, for any method that reads text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.evaluation.methods.common import Common
from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.prompt_sensitivity import (
    RandomEncoder,
    RandomVectors,
    mean_shared,
    measure_sensitivity,
    training_tasks,
    with_shared,
)
from tina_framework.evaluation.scoring import Scorer
from tina_framework.evaluation.vectors import unit
from tina_framework.interfaces.encoder import StatesConfidence
from tina_framework.interfaces.method import Answer, Context, Method, MethodUnavailable, Missing, Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.tasks import Task


@pytest.fixture
def scorer(spec: ParameterSpec, dataset: Any) -> Scorer:
    return Scorer(spec, ImageBank(dataset, "test", spec))


def networks(method: Method, tasks: Sequence[Task]) -> dict[int, Network]:
    method.prepare(tasks)
    return {i: answer for i, answer in enumerate(method.parameters(tasks)) if isinstance(answer, Network)}


def test_random_vectors_have_the_statistics_of_the_encoder(context: Context) -> None:
    vectors = RandomVectors.fit(context.encoder, context.dataset.class_names, 0)
    many = vectors.draw([0, "ant"], 4000)
    known = unit(context.encoder.encode_text(context.dataset.class_names))
    np.testing.assert_allclose(many.mean(axis=0), known.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(many.std(axis=0), known.std(axis=0), rtol=0.1)
    np.testing.assert_array_equal(vectors.draw([0, "ant"], 4000), many)
    assert not np.allclose(vectors.draw([1, "ant"], 4000), many)
    with pytest.raises(MethodUnavailable, match="fewer than two"):
        RandomVectors.fit(context.encoder, ["ant"], 0)


def test_a_random_encoder_reads_text_until_it_is_told_not_to(context: Context) -> None:
    own = context.encoder
    encoder = RandomEncoder(own, RandomVectors.fit(own, context.dataset.class_names, 0), 3)
    assert (encoder.name, encoder.dim, encoder.space) == (own.name, own.dim, own.space)
    assert isinstance(own, StatesConfidence)
    assert not isinstance(encoder, StatesConfidence)
    np.testing.assert_array_equal(encoder.encode_text(["ant", "bee"]), own.encode_text(["ant", "bee"]))
    encoder.random = True
    drawn = encoder.encode_text(["ant", "bee", "Ant"])
    assert drawn.dtype == np.float32
    assert not np.allclose(drawn[0], own.encode_text(["ant"])[0])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(encoder.encode_text(["bee"])[0], drawn[1])
    assert encoder.encode_text([]).shape == (0, own.dim)


def test_training_tasks_are_no_reserved_ones(context: Context) -> None:
    drawn = training_tasks(context, 3, 20)
    assert len(drawn) == 20
    assert {partition_of(task.classes) for task in drawn} == {"train"}


def test_shared_tensors_are_averaged_and_rows_kept(context: Context, tasks: list[Task]) -> None:
    spec, found = context.spec, networks(Tina(context), tasks[:3])
    mean = mean_shared(spec, [*found.values(), Missing("none")], 3)
    assert set(mean) == {name for name, axis in spec.class_axes.items() if axis is None}
    made = spec.unflatten(with_shared(spec, found[0], mean).flat, 3)
    expected = spec.unflatten(torch.stack([network.flat for network in found.values()]).mean(0), 3)
    torch.testing.assert_close(made["conv1.weight"], expected["conv1.weight"])
    torch.testing.assert_close(made["fc.weight"], spec.unflatten(found[0].flat, 3)["fc.weight"])
    with pytest.raises(MethodUnavailable, match="no single network with 4 outputs"):
        mean_shared(spec, found.values(), 4)


def test_of_the_generator_common_is_that_of_the_method_common(
    context: Context, tasks: list[Task], scorer: Scorer
) -> None:
    chosen = tasks[:6]
    counted: list[int] = []
    found = measure_sensitivity(Tina, context, chosen, networks(Tina(context), chosen), scorer, 64, counted.append)
    expected = [scorer.accuracy(n, chosen[i].classes) for i, n in networks(Common(context), chosen).items()]
    assert found["common"] == pytest.approx(sum(expected) / len(expected))
    assert found["minus_random_prompt"]["mean"] == pytest.approx(found["method"] - found["random_prompt"])
    assert sum(counted) == 64 + 6


class Blind(Method):
    """Says that it reads text, and does not."""

    name, reads_text = "blind", True

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        spec = self.context.spec
        return [Network(torch.zeros(spec.num_parameters(len(task.classes))), task.classes) for task in tasks]


class Silent(Blind):
    """Has no network for random prompts."""

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        if self.context.replaced_encoder is None:
            return super().parameters(tasks)
        return [Missing("odd words") for _ in tasks]


def test_what_cannot_be_measured_says_why(context: Context, tasks: list[Task], scorer: Scorer) -> None:
    chosen = tasks[:2]
    with pytest.raises(MethodUnavailable, match="are the same for random prompts"):
        measure_sensitivity(Blind, context, chosen, networks(Blind(context), chosen), scorer, 4)
    with pytest.raises(MethodUnavailable, match="gives no network for random prompts"):
        measure_sensitivity(Silent, context, chosen, networks(Silent(context), chosen), scorer, 4)
