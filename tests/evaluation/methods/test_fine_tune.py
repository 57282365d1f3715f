"""*fine-tune*: how recipes are written, and what is trained."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch

from tests.evaluation.methods.helpers import TASK, answer
from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.fine_tune import FineTune, parse_recipe, subset
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.interfaces.method import Context, MethodUnavailable, Missing
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.image_bank import load_split
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.teacher import Teacher


def _arrays(context: Context) -> Any:
    from tina_framework.interfaces.dataset import ArrayDataset

    train = context.dataset.load("train")
    return ArrayDataset("toys", context.dataset.class_names, {"train": train})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", {}),
        ("long", {"epochs": 60.0, "lr": 0.1, "batch_size": 128, "flip": True}),
        ("long:lr=0.05", {"epochs": 60.0, "lr": 0.05, "batch_size": 128, "flip": True}),
        ("short:average_last=0.25", {"average_last": 0.25}),
        ("epochs=60:lr=1e-1:nesterov=true", {"epochs": 60.0, "lr": 0.1, "nesterov": True}),
        ("weight_decay=0:precision=fp32", {"weight_decay": 0.0, "precision": "fp32"}),
        ("image_shift=2", {"image_shift": 2}),
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
        ("image_shift=2.5", "write a whole number"),
        ("lr=nan", "write a number of at least 0"),
        ("lr=0", "lr above 0"),
        ("average_last=2", "average_last in [0, 1]"),
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
    assert not torch.equal(train(None), train("image_shift=2"))


def test_a_shift_is_described_and_refused_before_training(context: Context) -> None:
    method = FineTune(context, "image_shift=2")
    method.prepare([TASK])
    assert ", image shift 2, 'train' images" in method.describe()
    with pytest.raises(ConfigError, match="image_shift is 32, but the pictures"):
        FineTune(context, "image_shift=32").prepare([TASK])


def test_fine_tune_trains_from_the_zoos_generic_model(context: Context, zoo: Zoo) -> None:
    method = FineTune(context)
    trained = answer(method, TASK)
    start = answer(Selection(context), TASK)
    assert not torch.allclose(trained.flat, start.flat)
    assert (trained.flat - start.flat).abs().max() < 0.5
    assert torch.equal(answer(FineTune(context), TASK).flat, trained.flat)
    assert "2 epochs" in method.describe()


def test_a_row_learns_from_the_teacher_only_if_its_recipe_says_so(context: Context) -> None:
    taught = "short:teacher_weight=0.9:teacher_temperature=2"
    with pytest.raises(MethodUnavailable, match="--teacher"):
        FineTune(context, taught).prepare([TASK])
    plain = answer(FineTune(context), TASK).flat
    data, names = load_split(context.dataset, "train"), context.dataset.class_names
    logits = torch.randn(2, len(data), len(names), generator=torch.Generator().manual_seed(0))
    context.teacher = Teacher.of(data, names, logits, "random numbers", {})
    assert torch.equal(answer(FineTune(context), TASK).flat, plain)
    method = FineTune(context, taught)
    assert not torch.allclose(answer(method, TASK).flat, plain, atol=1e-3)
    assert method.describe().endswith("taught by random numbers (weight 0.9, temperature 2)")


def test_fine_tune_finds_its_rows_by_name(context: Context, zoo: Zoo) -> None:
    """A data set that counts its classes in another order must not change what is trained."""
    reordered = dataclasses.replace(_arrays(context), class_names=tuple(reversed(context.dataset.class_names)))
    labels = len(reordered.class_names) - 1
    splits = {split: dataclasses.replace(data, labels=labels - data.labels) for split, data in reordered.splits.items()}
    expected = answer(FineTune(context), TASK).flat
    context.dataset = dataclasses.replace(reordered, splits=splits)
    torch.testing.assert_close(answer(FineTune(context), TASK).flat, expected)


def test_fine_tune_where_the_zoo_never_met_some_classes(context: Context, zoo: Zoo) -> None:
    expected = answer(FineTune(context), TASK).flat
    few = Zoo.open(zoo.folder)
    kept = torch.tensor([i for i, name in enumerate(zoo.class_names) if name != "ant"])
    few.generic = context.spec.select_classes(zoo.generic, kept)
    few.class_names = tuple(name for name in zoo.class_names if name != "ant")
    context.zoo = few
    torch.testing.assert_close(answer(FineTune(context), TASK).flat, expected)
    found = answer(FineTune(context), Task(("ant", "bee")))
    assert isinstance(found, Missing)
    assert "no output for 'ant'" in found.reason


def test_fine_tune_on_some_tasks_of_each_split(context: Context) -> None:
    tasks = [Task((f"{split}{i}", "x"), split) for split in ("a", "b") for i in range(6)]
    chosen = subset(tasks, 2)
    assert [task.classes[0] for task in tasks if task in chosen] == ["a0", "a3", "b0", "b3"]
    assert subset(tasks, None) == subset(tasks, 99) == frozenset(tasks)
    context.fine_tune_tasks = 1
    method = FineTune(context)
    method.prepare([TASK, Task(("ant", "bee"))])
    left_out = method.parameters([Task(("ant", "bee"))])[0]
    assert isinstance(left_out, Missing)
    assert left_out.intended
