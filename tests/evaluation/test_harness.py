"""How methods are run: those that fail, those that answer a part, and what is timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tina_framework.errors import PluginError, PromptError
from tina_framework.evaluation import harness
from tina_framework.evaluation.harness import run_method, run_methods
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing, Network
from tina_framework.zoo.tasks import Task

TASKS = [Task((f"{split}{i}", "other"), split) for split in ("seen", "validation") for i in range(3)]


class FakeScorer:
    """Accuracy is the first parameter."""

    bank = SimpleNamespace(images=torch.zeros(1))

    def accuracy(self, network: Network, classes: Sequence[str]) -> float:
        return float(network.flat[0])


def network(value: float, task: Task) -> Network:
    return Network(torch.full((4,), value), task.classes)


class Constant(Method):
    name = "constant"

    def describe(self) -> str:
        return "always one half"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [network(0.5, task) for task in tasks]


class Absent(Method):
    name = "absent"

    def prepare(self, tasks: Sequence[Task]) -> None:
        raise MethodUnavailable(f"nothing for {len(tasks)} tasks")


class Picky(Method):
    """Fails as a whole when a batch holds one name it does not know."""

    name = "picky"
    batch_size = 8

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        if any("seen1" in task.classes for task in tasks):
            raise PromptError("what is seen1?")
        return [network(0.25 * len(task.classes), task) for task in tasks]


class Partial(Method):
    name = "partial"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [Missing("not wanted", intended=True) if task.split == "seen" else network(1.0, task) for task in tasks]


class Slow(Method):
    """Two seconds a call, and one a task, by its own clock; the very first call takes a minute."""

    name = "slow"
    batch_size = 8
    now = 0.0
    warm = False

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        Slow.now += 2.0 + len(tasks) if Slow.warm else 60.0
        Slow.warm = True
        return [network(0.5, task) for task in tasks]


def run(method: type[Method], limit: float | None = None) -> Any:
    none: Any = None
    scorer: Any = FakeScorer()
    return run_method(method.name, method(none), TASKS, scorer, lambda count=1, note="": None, limit=limit)


def test_every_task_gets_its_result() -> None:
    result = run(Constant)
    assert [task.accuracy for task in result.tasks] == [0.5] * 6
    assert {task.parameters for task in result.tasks} == {4}
    assert result.description == "always one half"
    assert result.timings.keys() == {("seen", 2), ("validation", 2)}
    assert result.timings["seen", 2].in_batch is None


def test_a_method_that_cannot_run_stops_no_other() -> None:
    none: Any = None
    scorer: Any = FakeScorer()
    absent, constant = run_methods({"a": Absent(none), "b": Constant(none)}, TASKS, scorer)
    assert absent.skipped == [(None, "nothing for 6 tasks")]
    assert absent.tasks == [None] * 6
    assert constant.skipped == []


class Mute(Constant):
    """Describes itself with an error."""

    name = "mute"

    def describe(self) -> str:
        raise PluginError("describe() failed")


class Sizeless(Constant):
    """Has no batch size once it is prepared."""

    name = "sizeless"
    prepared = False

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.prepared = True

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        if self.prepared:
            raise PluginError("batch_size is 0")
        return 1


@pytest.mark.parametrize(("method", "message"), [(Mute, "describe() failed"), (Sizeless, "batch_size is 0")])
def test_errors_of_a_method_outside_its_answers_stop_no_other(method: type[Method], message: str) -> None:
    result = run(method)
    assert result.tasks == [None] * 6
    assert result.skipped == [(None, message)]


def test_one_bad_name_spoils_one_task_of_a_batch() -> None:
    result = run(Picky)
    assert [task is None for task in result.tasks] == [False, True, False, False, False, False]
    ((split, reason),) = result.skipped
    assert split == "seen"
    assert reason == "1 of 3 tasks left out; the first because what is seen1?"


def test_what_was_left_out_on_purpose_is_not_reported() -> None:
    result = run(Partial)
    assert result.skipped == []
    assert [task is None for task in result.tasks] == [True] * 3 + [False] * 3
    assert result.timings.keys() == {("validation", 2)}


def test_single_tasks_and_batches_are_timed_apart_and_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "time", SimpleNamespace(perf_counter=lambda: Slow.now))
    timing = run(Slow).timings["seen", 2]
    assert timing.alone == pytest.approx(3.0)
    assert timing.in_batch == pytest.approx(5.0 / 3)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_slow_method_is_measured_on_fewer_tasks(monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    monkeypatch.setattr(harness, "time", SimpleNamespace(perf_counter=lambda: Slow.now))
    monkeypatch.setattr(Slow, "batch_size", batch_size)
    monkeypatch.setattr(Slow, "warm", True)
    result = run(Slow, limit=1.0)
    assert [task is None for task in result.tasks] == [False, False, True] * 2
    spent = 6 if batch_size == 1 else 4
    reason = f"1 of 3 tasks left out; the first because its networks took {spent} s, and a row gets 1 s"
    assert result.skipped == [("seen", reason), ("validation", reason)]
    assert [task is None for task in run(Slow, limit=100.0).tasks] == [False] * 6


def test_progress_counts_every_task_once() -> None:
    seen: list[tuple[str, int]] = []

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Any]:
        assert total == len(TASKS)
        yield lambda count=1, note="": seen.append((description, count))

    none: Any = None
    scorer: Any = FakeScorer()
    run_methods({"one": Constant(none), "many": Picky(none)}, TASKS, scorer, progress)
    assert sum(count for label, count in seen if label == "one") == 6
    assert sum(count for label, count in seen if label == "many") == 6
