"""What methods need and may lack."""

from __future__ import annotations

import pytest

from tina_framework.evaluation.context import Context
from tina_framework.evaluation.method import Method, MethodUnavailable
from tina_framework.evaluation.methods.average import Average
from tina_framework.evaluation.methods.fine_tune import FineTune
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.methods.p_model import PModel
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


@pytest.mark.parametrize("method", [Average, Nearest, PModel, FineTune])
def test_without_a_zoo_the_reason_is_given(context: Context, method: type[Method]) -> None:
    context.zoo, context.no_zoo = None, "no zoo here; give its folder with --zoo"
    with pytest.raises(MethodUnavailable, match="give its folder with --zoo"):
        method(context).prepare([TASK])
