"""The checks of methods reject broken plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from tests.testing.checks.rejection import assert_rejected
from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.method import Context, Method, MethodUnavailable, Network
from tina_framework.testing import noise_dataset, run_checks
from tina_framework.zoo.tasks import Task


@pytest.fixture
def context(tiny_generator: Generator) -> Context:
    names = tiny_generator.config.class_names
    assert tiny_generator.generic is not None
    copied = {name: tensor.clone() for name, tensor in tiny_generator.generic.items()}
    return Context(tiny_generator, noise_dataset(names), generic=GenericModel(copied, names, "toys"))


class Plain(Method):
    """Correct: the generic model's rows, moved by the mean of the vectors."""

    name: Any = "plain"
    reads_text: Any = True
    batch_size: Any = 2

    def moved(self, task: Task) -> torch.Tensor:
        vectors = torch.from_numpy(self.context.encoder.encode_text(task.classes))
        network: Any = self.context.need_generic().select(self.context.spec, task.classes)
        return network.flat + vectors[:, 0].mean()

    def parameters(self, tasks: Sequence[Task]) -> Any:
        return [Network(self.moved(task), task.classes) for task in tasks]


class NoName(Plain):
    name = ""


class NoBatch(Plain):
    batch_size = 0


class Perhaps(Plain):
    reads_text = "perhaps"


class NoPaper(Plain):
    paper: Any = None


class OneAnswer(Plain):
    def parameters(self, tasks: Sequence[Task]) -> Any:
        return super().parameters(tasks[:1])


class Short(Plain):
    def parameters(self, tasks: Sequence[Task]) -> Any:
        return [Network(network.flat[1:], network.outputs) for network in super().parameters(tasks)]


class Infinite(Plain):
    def parameters(self, tasks: Sequence[Task]) -> Any:
        return [Network(network.flat / 0, network.outputs) for network in super().parameters(tasks)]


class Raises(Plain):
    def prepare(self, tasks: Sequence[Task]) -> None:
        raise ValueError("no file")


class Unseeded(Plain):
    def moved(self, task: Task) -> torch.Tensor:
        return super().moved(task) + torch.randn(())


class ByBatch(Plain):
    def parameters(self, tasks: Sequence[Task]) -> Any:
        return [Network(network.flat + len(tasks), network.outputs) for network in super().parameters(tasks)]


class Overwrites(Plain):
    def prepare(self, tasks: Sequence[Task]) -> None:
        for tensor in self.context.need_generic().state.values():
            tensor.add_(1.0)


class TooEarly(Plain):
    def prepare(self, tasks: Sequence[Task]) -> None:
        self.flats = {task.classes: Plain.moved(self, task) for task in tasks}

    def moved(self, task: Task) -> torch.Tensor:
        return self.flats[task.classes]


class Wrapped(Method):
    """Correct: hands every task to another method, as what checks a plugin's method does."""

    name = "wrapped"
    reads_text = True
    inner: type[Plain] = Plain

    def __init__(self, context: Context, argument: str | None = None) -> None:
        super().__init__(context, argument)
        self.wrapped = self.inner(context, argument)

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.wrapped.prepare(tasks)

    def parameters(self, tasks: Sequence[Task]) -> Any:
        return self.wrapped.parameters(tasks)


class WrappedTooEarly(Wrapped):
    inner = TooEarly


class Unavailable(Plain):
    def prepare(self, tasks: Sequence[Task]) -> None:
        raise MethodUnavailable("there are no weights")


@pytest.mark.parametrize("method", [Plain, Wrapped])
def test_a_correct_method_passes(method: type[Method], context: Context) -> None:
    assert [result for result in run_checks("method", partial(method, context)) if not result.passed] == []
    assert context.replaced_encoder is None


def test_each_method_may_have_its_own_context(context: Context) -> None:
    results = run_checks("method", lambda: Wrapped(replace(context)))
    assert [result for result in results if not result.passed] == []


@pytest.mark.parametrize(
    ("method", "check", "message"),
    [
        (NoName, "check_fields", "name is ''"),
        (NoBatch, "check_fields", "batch_size is 0"),
        (Perhaps, "check_fields", "reads_text is 'perhaps'"),
        (NoPaper, "check_fields", "paper is no text"),
        (OneAnswer, "check_answers", "returned 1 for 3 tasks"),
        (Short, "check_answers", "return all of them"),
        (Infinite, "check_answers", "not finite"),
        (Raises, "check_answers", "ValueError: no file"),
        (Unseeded, "check_repeatable", "A second instance gives other networks"),
        (ByBatch, "check_batches", "alone than among others"),
        (Overwrites, "check_changes_nothing", "It changes generic."),
        (TooEarly, "check_reads_text", "the networks are the same for other vectors"),
        (WrappedTooEarly, "check_reads_text", "the networks are the same for other vectors"),
    ],
)
def test_mistakes_are_found(method: type[Method], check: str, message: str, context: Context) -> None:
    make: Callable[[], Method] = partial(method, context)
    assert_rejected("method", make, check)
    assert message in next(result.message for result in run_checks("method", make) if result.failed)


def test_a_method_that_cannot_run_is_skipped(context: Context) -> None:
    results = run_checks("method", partial(Unavailable, context))
    assert not any(result.failed for result in results)
    assert "there are no weights" in results[1].message


def test_what_is_no_method() -> None:
    assert_rejected("method", object, "check_fields")
