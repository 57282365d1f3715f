"""*generic*, *selection*, *average*, *nearest*, *p-model*, *fine-tune*, against what their definitions say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.errors import PromptError
from tina_framework.evaluation.context import Context
from tina_framework.evaluation.method import Method, MethodUnavailable, Missing
from tina_framework.evaluation.methods.average import Average, mean_model
from tina_framework.evaluation.methods.fine_tune import FineTune, subset
from tina_framework.evaluation.methods.generic import Generic
from tina_framework.evaluation.methods.nearest import Nearest, greedy_matching
from tina_framework.evaluation.methods.p_model import PModel
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.evaluation.scoring import Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


def answer(method: Method, task: Task) -> Any:
    method.prepare([task])
    return method.parameters([task])[0]


def state(context: Context, network: Any) -> dict[str, torch.Tensor]:
    assert isinstance(network, Network)
    return context.spec.unflatten(network.flat, len(network.outputs))


def entry_state(context: Context, zoo: Zoo, number: int) -> dict[str, torch.Tensor]:
    return context.spec.unflatten(zoo.flat(number), 3)


def test_generic_keeps_all_outputs(context: Context, zoo: Zoo) -> None:
    found = state(context, answer(Generic(context), TASK))
    assert all(torch.equal(found[name], zoo.generic[name]) for name in zoo.generic)
    method = Generic(context)
    method.prepare([TASK])
    one, two = method.parameters([TASK, Task(("ant", "bee"))])
    assert one is two


def test_selection_keeps_the_rows_of_the_task(context: Context, zoo: Zoo) -> None:
    found = state(context, answer(Selection(context), TASK))
    assert torch.equal(found["conv1.weight"], zoo.generic["conv1.weight"])
    for row, name in enumerate(TASK.classes):
        assert torch.equal(found["fc.weight"][row], zoo.generic["fc.weight"][zoo.class_names.index(name)])
        assert found["fc.bias"][row] == zoo.generic["fc.bias"][zoo.class_names.index(name)]


def test_selection_from_another_base(context: Context, zoo: Zoo) -> None:
    context.generic = None
    found = state(context, answer(Selection(context, str(zoo.folder)), TASK))
    assert torch.equal(found["conv2.weight"], zoo.generic["conv2.weight"])


@pytest.mark.parametrize("method", [Generic, Selection])
def test_the_generic_model_may_lack_a_class_or_be_missing(context: Context, method: type[Method]) -> None:
    found = answer(method(context), Task(("ant", "zebra")))
    assert isinstance(found, Missing)
    assert "'zebra'" in found.reason
    context.generic, context.no_generic = None, "there is none"
    with pytest.raises(MethodUnavailable, match="there is none"):
        method(context).prepare([TASK])


def test_average_by_hand(context: Context, zoo: Zoo) -> None:
    found = state(context, answer(Average(context), TASK))
    states = [entry_state(context, zoo, i) for i in range(4)]
    torch.testing.assert_close(found["conv1.weight"], sum(s["conv1.weight"] for s in states) / 4)
    # "hen" is in p-Model 2 alone, "fox" in 2 and 3, "lion" in none.
    torch.testing.assert_close(found["fc.weight"][0], states[2]["fc.weight"][1])
    torch.testing.assert_close(found["fc.weight"][1], zoo.generic["fc.weight"][11])
    torch.testing.assert_close(found["fc.bias"][2], (states[2]["fc.bias"][0] + states[3]["fc.bias"][2]) / 2)
    # Rows of the generic model: bee and lion.
    assert mean_model(context.spec, zoo)[1] == 2


def test_matching_by_hand() -> None:
    # Best pair 0.9 (row 0, column 1), then row 1 has 0.2 (column 0) left: mean 0.55.
    one = [[0.5, 0.9], [0.2, 0.8]]
    # Row 1 finds nothing above 0.
    two = [[0.4, 0.1], [0.3, -0.6]]
    # One column only.
    three = [[0.3, -np.inf], [0.7, -np.inf]]
    found = greedy_matching(np.array([one, two, three], dtype=np.float32))
    np.testing.assert_allclose(found, [0.55, 0.2, 0.35], rtol=1e-6)


def test_nearest_takes_rows_where_it_has_them(context: Context, zoo: Zoo) -> None:
    method = Nearest(context)
    found = state(context, answer(method, TASK))
    assert method.closest(TASK.classes).id == 2
    near = entry_state(context, zoo, 2)  # fox, hen, kite
    assert torch.equal(found["conv2.weight"], near["conv2.weight"])
    assert torch.equal(found["fc.weight"][0], near["fc.weight"][1])
    assert torch.equal(found["fc.weight"][1], zoo.generic["fc.weight"][11])
    assert torch.equal(found["fc.bias"][2], near["fc.bias"][0])


def test_nearest_of_a_zoo_task_is_that_task(context: Context, zoo: Zoo) -> None:
    method = Nearest(context)
    tasks = [Task(tuple(reversed(entry.classes))) for entry in zoo.entries]
    method.prepare(tasks)
    assert [method.closest(task.classes).id for task in tasks] == [0, 1, 2, 3]


def test_nearest_says_which_name_the_encoder_lacks(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = type(context.encoder).encode_text

    def without_lion(self: Any, texts: Any, template: int = 0) -> Any:
        if "lion" in texts:
            raise PromptError("no lion")
        return encode(self, texts, template)

    monkeypatch.setattr(type(context.encoder), "encode_text", without_lion)
    found = answer(Nearest(context), TASK)
    assert isinstance(found, Missing)
    assert "does not know 'lion'" in found.reason
    assert isinstance(answer(Nearest(context), Task(("ant", "bee"))), Network)


def test_p_model_in_the_order_of_the_task(context: Context, zoo: Zoo) -> None:
    entry = zoo.entries[1]
    found = state(context, answer(PModel(context), Task(tuple(reversed(entry.classes)))))
    stored = entry_state(context, zoo, 1)
    assert torch.equal(found["conv1.weight"], stored["conv1.weight"])
    assert torch.equal(found["fc.weight"], stored["fc.weight"].flip(0))
    with pytest.raises(MethodUnavailable, match="no task"):
        PModel(context).prepare([TASK])
    method = PModel(context)
    method.prepare([Task(entry.classes)])
    assert method.parameters([TASK]) == [Missing("the task is not in the zoo")]


def test_fine_tune_trains_from_the_zoos_generic_model(context: Context, zoo: Zoo) -> None:
    method = FineTune(context)
    trained = answer(method, TASK)
    start = answer(Selection(context), TASK)
    assert not torch.allclose(trained.flat, start.flat)
    assert (trained.flat - start.flat).abs().max() < 0.5
    assert torch.equal(answer(FineTune(context), TASK).flat, trained.flat)
    assert "2 epochs" in method.describe()


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


def _arrays(context: Context) -> Any:
    from tina_framework.interfaces.dataset import ArrayDataset

    train = context.dataset.load("train")
    return ArrayDataset("toys", context.dataset.class_names, {"train": train})


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


@pytest.mark.parametrize("method", [Average, Nearest, PModel, FineTune])
def test_without_a_zoo_the_reason_is_given(context: Context, method: type[Method]) -> None:
    context.zoo, context.no_zoo = None, "no zoo here; give its folder with --zoo"
    with pytest.raises(MethodUnavailable, match="give its folder with --zoo"):
        method(context).prepare([TASK])
