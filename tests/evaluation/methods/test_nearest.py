"""*nearest*: how tasks are matched, and which rows are taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.evaluation.methods.helpers import TASK, answer, entry_state, state
from tina_framework.errors import PromptError
from tina_framework.evaluation.methods.nearest import Nearest, greedy_matching
from tina_framework.interfaces.method import Context, Missing, Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task


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
