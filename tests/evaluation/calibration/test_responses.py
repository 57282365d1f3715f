"""Thresholds and what they refuse, on made-up scores and on generated networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import DataError
from tina_framework.evaluation.calibration.responses import Scored, auroc, figures, respond, threshold_for
from tina_framework.evaluation.scoring import Scorer
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.method import Network
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.tasks import Task


def scored(inside: Any, right: Any, outside: Any) -> Scored:
    return Scored(np.array(inside, dtype=np.float32), np.array(right), np.array(outside, dtype=np.float32))


pictures = st.lists(st.tuples(st.floats(-5, 5, width=32), st.booleans()), min_size=1, max_size=40)


@given(st.lists(pictures, min_size=1, max_size=3), st.floats(0.05, 1))
def test_the_threshold_keeps_its_share_and_none_higher_does(groups: list[Any], kept: float) -> None:
    networks = [scored([s for s, _ in group], [r for _, r in group], [0.0]) for group in groups]
    scores = np.concatenate([network.inside[network.right] for network in networks])
    if not len(scores):
        with pytest.raises(DataError, match="classifies a single image correctly"):
            threshold_for(networks, kept)
        return
    threshold = threshold_for(networks, kept)
    assert np.mean(scores >= threshold) >= kept - 1e-9
    higher = scores[scores > threshold]
    assert not len(higher) or np.mean(scores >= higher.min()) < kept


def test_abstentions_inside_are_mistakes() -> None:
    network = scored([1, 2, 3, 4], [True, False, True, True], [0, 1, 3, 3.5])
    assert network.kept(2.5) == 0.5
    assert network.refused(3.0) == 0.5
    found = figures([network], 2.5)
    assert found == {
        "threshold": 2.5,
        "accuracy": 0.75,
        "kept": pytest.approx(2 / 3),
        "refused": {"mean": 0.5, "ci95": None},
        "auroc": auroc([network]),
    }


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_is_the_share_of_pairs_in_order(inside: list[int], outside: list[int]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    assert auroc([scored(inside, [True] * len(inside), outside)]) == pytest.approx(np.mean(pairs))


def test_networks_see_all_pictures_inside_and_some_outside(tiny_generator: Generator, dataset: Any) -> None:
    bank = ImageBank(dataset, "test", tiny_generator.spec)
    tasks = [Task(("cat", "ant", "dog")), Task(("bee", "eel"))]
    done: list[int] = []
    found = respond(tiny_generator, bank, tasks, dataset.class_names, per_class=2, on_progress=done.append)
    assert done == [1, 1]
    assert [tuple(r.inside.shape) for r in found] == [(15, 3), (10, 2)]
    assert [tuple(r.outside.shape) for r in found] == [(9 * 2, 3), (10 * 2, 2)]
    [flat] = tiny_generator.generate_parameters(encode_tasks([tasks[0].classes], tiny_generator.encoder))
    accuracy = Scorer(tiny_generator.spec, bank).accuracy(Network(flat, tasks[0].classes), tasks[0].classes)
    assert float(found[0].right.float().mean()) == pytest.approx(accuracy)
    with pytest.raises(DataError, match="no image outside the task"):
        respond(tiny_generator, bank, tasks, ["cat", "ant"], per_class=2)
