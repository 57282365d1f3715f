"""What a plugin's method returns is checked before it is measured, and mistakes are named in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tina_framework.errors import PluginError, PromptError
from tina_framework.interfaces.method import Answer, Method, Missing, Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.admission import admit
from tina_framework.plugin.checked_method import CheckedMethod, checked_network
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.tasks import Task

WHAT = "Method 'mine' of 'fake'"
TASK = Task(("hen", "lion", "fox"))
SPEC = ParameterSpec(registries().architectures.create("cnn-2layer"))
SIZE = SPEC.num_parameters(3)


class Mine(Method):
    name = "mine"
    reads_text = True
    batch_size = 4
    differs = "a toy"

    def __init__(self, context: Any, given: Any) -> None:
        super().__init__(context)
        self.given = given

    def describe(self) -> str:
        return "two\nlines"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class Sizeless(Mine):
    @property
    def batch_size(self) -> int:  # type: ignore[override]
        return 1 // 0


def checked(given: Any) -> CheckedMethod:
    return admit("method", WHAT, Mine(SimpleNamespace(spec=SPEC), given))


def test_good_answers_pass_unchanged() -> None:
    network, missing = Network(torch.zeros(SIZE), TASK.classes), Missing("no weights")
    method = checked([network, missing])
    answers = method.parameters([TASK, TASK])
    assert answers[0] is network
    assert answers[1] is missing
    assert (method.name, method.reads_text, method.batch_size, method.differs) == ("mine", True, 4, "a toy")
    assert method.describe() == "two lines"
    assert method.given == [network, missing]


def test_other_floats_become_float32_without_a_gradient() -> None:
    (answer,) = checked([Network(torch.zeros(SIZE, dtype=torch.float64, requires_grad=True), TASK.classes)]).parameters(
        [TASK]
    )
    assert isinstance(answer, Network)
    assert answer.flat.dtype is torch.float32
    assert not answer.flat.requires_grad


def test_more_outputs_and_ensembles_are_allowed() -> None:
    wide = Network(torch.zeros(SPEC.num_parameters(4)), (*TASK.classes, "ant"))
    pair = Network(torch.zeros(2 * SPEC.num_parameters(2)), TASK.classes, ((0, 1), (1, 2)))
    assert checked_network(wide, TASK.classes, SPEC, WHAT) is wide
    assert checked_network(pair, TASK.classes, SPEC, WHAT) is pair


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "returned None for 1 tasks; return a list with one answer for each"),
        ([], "returned 0 answers for 1 tasks"),
        ([torch.zeros(SIZE)], "return a Network or Missing"),
        ([Network(torch.zeros(SIZE - 1), TASK.classes)], f"{SIZE - 1:,} parameters for the task hen, lion, fox, but"),
        ([Network(torch.zeros(1, SIZE), TASK.classes)], "give a float32 tensor (N,)"),
        ([Network(torch.zeros(SIZE, dtype=torch.int64), TASK.classes)], "torch.int64; give a float32 tensor (N,)"),
        ([Network(torch.full((SIZE,), float("nan")), TASK.classes)], "not finite"),
        ([Network(torch.zeros(SIZE), ("hen", "lion", "cat"))], "have no 'fox'"),
        ([Network(torch.zeros(SIZE), ("hen", "lion", "fox", "fox"))], "name a class twice"),
        ([Network(torch.zeros(SIZE), TASK.classes, ((0, 1),))], "do not cover its outputs"),
        (
            [Network(torch.zeros(SIZE), None)],
            "outputs for the task hen, lion, fox are None; give a tuple of class names",
        ),
        ([Network(torch.zeros(SIZE), (["hen"], "lion", "fox"))], "give a tuple of class names"),
        (
            [Network(torch.zeros(SIZE), TASK.classes, 3)],
            "members for the task hen, lion, fox are 3; give a tuple of numbers",
        ),
        ([Network(torch.zeros(SIZE), TASK.classes, ((0, 1), 2))], "give a tuple of numbers"),
        ([Network(torch.zeros(SIZE), TASK.classes, (([0], 1, 2),))], "give a tuple of numbers"),
        (RuntimeError("no\nweights"), "failed in parameters(): RuntimeError: no weights"),
    ],
)
def test_mistakes_are_named(given: Any, message: str) -> None:
    with pytest.raises(PluginError, match=re.escape(message)) as caught:
        checked(given).parameters([TASK])
    assert str(caught.value).startswith(WHAT)


def test_own_errors_of_the_framework_pass() -> None:
    with pytest.raises(PromptError, match="unknown word"):
        checked(PromptError("unknown word")).parameters([TASK])


def test_objects_that_are_no_methods_are_refused() -> None:
    with pytest.raises(PluginError, match=r"return a tina_framework\.interfaces\.method\.Method"):
        admit("method", WHAT, object())
    lazy = Mine(SimpleNamespace(spec=SPEC), [])
    lazy.batch_size = 0
    with pytest.raises(PluginError, match="batch_size is 0; it must be a whole number above 0"):
        admit("method", WHAT, lazy)
    with pytest.raises(PluginError, match=r"failed in batch_size: ZeroDivisionError"):
        admit("method", WHAT, Sizeless(SimpleNamespace(spec=SPEC), []))
    del lazy.context
    with pytest.raises(PluginError, match=re.escape("call super().__init__(context, argument)")):
        admit("method", WHAT, lazy)
