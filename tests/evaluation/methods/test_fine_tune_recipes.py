"""*fine-tune@...*: how recipes are written, and that they are what trains."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.context import Context
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.fine_tune import FineTune, parse_recipe
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", {}),
        ("long", {"epochs": 60.0, "lr": 0.1, "batch_size": 128, "flip": True}),
        ("long:lr=0.05", {"epochs": 60.0, "lr": 0.05, "batch_size": 128, "flip": True}),
        ("short:average_last=0.25", {"average_last": 0.25}),
        ("epochs=60:lr=1e-1:nesterov=true", {"epochs": 60.0, "lr": 0.1, "nesterov": True}),
        ("weight_decay=0:precision=fp32", {"weight_decay": 0.0, "precision": "fp32"}),
    ],
)
def test_recipes(text: str, expected: dict[str, Any]) -> None:
    assert parse_recipe(text) == expected
    assert parse_methods(f"fine-tune@{text}")[0].label == f"fine-tune@{text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("longer", "names no recipe; write short, long"),
        ("epoch=60", "Did you mean 'epochs'?"),
        ("long:", "'' sets no field"),
        ("long:60", "'60' sets no field"),
        ("lr=0.1:lr=0.2", "sets lr twice"),
        ("epochs=many", "write a number of at least 0"),
        ("batch_size=1.5", "write a whole number"),
        ("lr=nan", "write a number of at least 0"),
        ("lr=0", "lr above 0"),
        ("average_last=2", "the second in [0, 1]"),
        ("flip=yes", "write true or false"),
        ("precision=fp8", "choose auto, fp32 or bf16"),
    ],
)
def test_mistakes_are_named_before_anything_is_loaded(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_methods(f"fine-tune@{text}")


def test_what_the_argument_leaves_out_is_the_zoos(context: Context) -> None:
    assert context.zoo is not None
    method = FineTune(context, "epochs=1:weight_decay=0.5")
    method.prepare([TASK])
    assert method.recipe == SGDRecipe(**{**context.zoo.config.model, "epochs": 1.0, "weight_decay": 0.5})
    assert method.describe().startswith("1 epochs, lr 0.01, batch 9, weight decay 0.5, 'train' images")


def test_the_recipe_is_what_trains(context: Context) -> None:
    def train(argument: str | None) -> torch.Tensor:
        method = FineTune(context, argument)
        method.prepare([TASK])
        (network,) = method.parameters([TASK])
        return network.flat  # type: ignore[union-attr]

    assert torch.equal(train(None), train("short"))
    assert not torch.equal(train(None), train("epochs=1"))
