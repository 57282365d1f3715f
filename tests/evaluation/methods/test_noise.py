"""*noise*: as much of it as was asked for, around what *nearest* answers."""

from __future__ import annotations

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.methods.noise import Noise, deltas
from tina_framework.interfaces.method import Context, Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


def flat(method: Nearest, task: Task = TASK) -> torch.Tensor:
    method.prepare([task])
    (network,) = method.parameters([task])
    assert isinstance(network, Network)
    return network.flat


def test_deltas_by_hand(context: Context, zoo: Zoo) -> None:
    found = []
    for entry in zoo.entries:
        rows = [zoo.class_names.index(name) for name in entry.classes]
        found.append(context.spec.unflatten(zoo.flat(entry.id), 3)["fc.weight"] - zoo.generic["fc.weight"][rows])
    expected = float(torch.stack(found).square().mean().sqrt())
    assert deltas(context)["fc.weight"] == pytest.approx(expected, rel=1e-5)


def test_noise_has_the_size_of_the_deltas(context: Context) -> None:
    assert torch.equal(flat(Noise(context, "0")), flat(Nearest(context)))
    moved = context.spec.unflatten(flat(Noise(context, "2")) - flat(Nearest(context)), 3)["conv2.weight"]
    assert float(moved.std()) == pytest.approx(2 * deltas(context)["conv2.weight"], rel=0.05)
    torch.testing.assert_close(
        flat(Noise(context)) - flat(Nearest(context)), (flat(Noise(context, "2")) - flat(Nearest(context))) / 2
    )


def test_the_seed_and_the_classes_decide(context: Context) -> None:
    first = flat(Noise(context))
    assert torch.equal(flat(Noise(context)), first)
    context.seed = 1
    assert not torch.equal(flat(Noise(context)), first)


@pytest.mark.parametrize("argument", ["-1", "nan", "much"])
def test_a_scale_is_a_number(argument: str) -> None:
    with pytest.raises(ConfigError, match="has no valid scale"):
        parse_methods(f"noise@{argument}")
