"""*generic*: the generic model with all its outputs."""

from __future__ import annotations

import pytest
import torch

from tests.evaluation.methods.helpers import TASK, answer, state
from tina_framework.evaluation.methods.generic import Generic
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.interfaces.method import Context, Method, MethodUnavailable, Missing
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task


def test_generic_keeps_all_outputs(context: Context, zoo: Zoo) -> None:
    found = state(context, answer(Generic(context), TASK))
    assert all(torch.equal(found[name], zoo.generic[name]) for name in zoo.generic)
    method = Generic(context)
    method.prepare([TASK])
    one, two = method.parameters([TASK, Task(("ant", "bee"))])
    assert one is two


@pytest.mark.parametrize("method", [Generic, Selection])
def test_the_generic_model_may_lack_a_class_or_be_missing(context: Context, method: type[Method]) -> None:
    found = answer(method(context), Task(("ant", "zebra")))
    assert isinstance(found, Missing)
    assert "'zebra'" in found.reason
    context.generic, context.no_generic = None, "there is none"
    with pytest.raises(MethodUnavailable, match="there is none"):
        method(context).prepare([TASK])
