"""*selection*: the generic model with only the outputs of the task's classes."""

from __future__ import annotations

import torch

from tests.evaluation.methods.helpers import TASK, answer, state
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.interfaces.method import Context
from tina_framework.zoo.store import Zoo


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
