"""A linear network over one pixel, so that every answer can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tina_framework.errors import DataError, TinaError
from tina_framework.evaluation.scoring import Scorer
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.interfaces.method import Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.tasks import Task

LINEAR = TargetArchitecture(
    name="linear",
    build=lambda k: nn.Sequential(nn.Dropout(0.9), nn.Flatten(), nn.Linear(3, k, bias=False)),
    input_shape=(3, 1, 1),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)
RED, GREEN, BLUE, GREENISH = (255, 0, 0), (0, 255, 0), (0, 0, 255), (100, 200, 0)


@pytest.fixture
def scorer() -> Scorer:
    """Pictures: two red (one greenish), one green, three blue, and no "grey" at all."""
    pixels = [RED, GREENISH, GREEN, BLUE, BLUE, BLUE]
    images = np.array(pixels, dtype=np.uint8).reshape(-1, 1, 1, 3)
    data = LabelledImages(images, np.array([0, 0, 1, 2, 2, 2]))
    dataset = ArrayDataset("pixels", ("red", "green", "blue", "grey"), {"test": data})
    spec = ParameterSpec(LINEAR)
    return Scorer(spec, ImageBank(dataset, "test", spec), batch_size=2)


def network(*outputs: str) -> Network:
    """Each output looks at the channel of its colour."""
    channels = {"red": [1.0, 0, 0], "green": [0, 1.0, 0], "blue": [0, 0, 1.0], "grey": [0.0, 0, 0]}
    return Network(torch.tensor([value for name in outputs for value in channels[name]]), outputs)


def test_accuracy_by_hand(scorer: Scorer) -> None:
    # Red against green: RED right, GREENISH taken for green, GREEN right.
    assert scorer.accuracy(network("red", "green"), ["red", "green"]) == pytest.approx(2 / 3)
    assert scorer.accuracy(network("red", "blue"), ["red", "blue"]) == pytest.approx(1.0)


def test_outputs_in_another_order_than_the_task(scorer: Scorer) -> None:
    assert scorer.accuracy(network("green", "red"), ["red", "green"]) == pytest.approx(2 / 3)


def test_an_output_outside_the_task_is_a_mistake(scorer: Scorer) -> None:
    # Red against blue: GREENISH now goes to green, which the task does not have.
    everything = network("red", "green", "blue", "grey")
    assert scorer.accuracy(everything, ["red", "blue"]) == pytest.approx(4 / 5)
    assert scorer.accuracy(everything, ["blue", "green"]) == pytest.approx(1.0)
    assert scorer.accuracy(network("green", "blue", "grey"), ["red", "blue"]) == pytest.approx(3 / 5)


def test_an_ensemble_has_the_mean_logits_of_its_networks(scorer: Scorer) -> None:
    classes = ("red", "green", "blue")
    assert scorer.accuracy(network(*classes), classes) == pytest.approx(5 / 6)
    # The second sees four times as much red: GREENISH is 2.5 * 100 red against 200 green on average.
    second = network("blue", "red").flat * torch.tensor([1.0, 1, 1, 4, 1, 1])
    both = Network(torch.cat([network("red", "green").flat, second]), classes, ((0, 1), (2, 0)))
    assert both.num_parameters == 12
    assert scorer.accuracy(both, classes) == pytest.approx(1.0)
    assert scorer.accuracy(both, classes[::-1]) == pytest.approx(1.0)


def test_another_wide_network_is_not_answered_from_memory(scorer: Scorer) -> None:
    assert scorer.accuracy(network("red", "green", "blue"), ["red", "blue"]) == pytest.approx(4 / 5)
    swapped = Network(network("blue", "green", "red").flat, ("red", "green", "blue"))
    assert scorer.accuracy(swapped, ["red", "blue"]) == pytest.approx(0.0)


def test_what_cannot_be_measured_is_refused(scorer: Scorer) -> None:
    broken = Network(torch.full((6,), float("nan")), ("red", "green"))
    with pytest.raises(TinaError, match="not finite"):
        scorer.accuracy(broken, ["red", "green"])
    with pytest.raises(DataError, match="no class 'pink'"):
        scorer.check([Task(("red", "pink"))])


def test_half_precision_parameters_are_measured_in_float32(scorer: Scorer) -> None:
    half: Any = network("red", "green")
    assert scorer.accuracy(Network(half.flat.half(), half.outputs), ["red", "green"]) == pytest.approx(2 / 3)
    assert half.num_parameters == 6
