"""*p-model*: the stored p-Model in the order of the task's classes."""

from __future__ import annotations

import pytest
import torch

from tests.evaluation.methods.helpers import TASK, answer, entry_state, state
from tina_framework.evaluation.methods.p_model import PModel
from tina_framework.interfaces.method import Context, MethodUnavailable, Missing
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task


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
