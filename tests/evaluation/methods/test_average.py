"""*average*: the mean p-Model, computed by hand."""

from __future__ import annotations

import torch

from tests.evaluation.methods.helpers import TASK, answer, entry_state, state
from tina_framework.evaluation.methods.average import Average, mean_model
from tina_framework.interfaces.method import Context
from tina_framework.zoo.store import Zoo


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
