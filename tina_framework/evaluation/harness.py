"""Running methods on tasks: accuracy, time and number of parameters of every network.

The time is that of making a network from a task. Measuring its accuracy and `Method.prepare` are not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch

from tina_framework.errors import TinaError
from tina_framework.evaluation.peak_memory import PeakMemory
from tina_framework.evaluation.scoring import Scorer
from tina_framework.interfaces.method import Answer, Method, Missing, Network
from tina_framework.zoo.tasks import Task

__all__ = [
    "Group",
    "MethodResult",
    "Progress",
    "TaskResult",
    "Timing",
    "ask_all",
    "group_of",
    "no_progress",
    "run_method",
    "run_methods",
]

Group = tuple[str, int]
"""(split, class count)."""

Progress = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""progress(description, total) returns a context. Its value is a function, called with the number of tasks just done."""

# Single tasks are timed a few times, and fewer times if they are slow, so that timing does not double the work.
_SINGLES = 5
_SECONDS_FOR_SINGLES = 10.0
# A limited method answers so many tasks whatever they take, because an interval needs two.
_LEAST = 2


def group_of(task: Task) -> Group:
    """Return the group of tasks with which a task is reported."""
    return task.split or "unknown", len(task.classes)


@dataclass(frozen=True)
class TaskResult:
    """The accuracy of one network on the images of its task, and its number of parameters."""

    accuracy: float
    parameters: int


@dataclass(frozen=True)
class Timing:
    """Seconds for one network, over the tasks of one group.

    Attributes:
        alone: one task at a time, after a warm-up; the median of a few.
        in_batch: many tasks at a time. None for methods that answer one task after the other.
    """

    alone: float
    in_batch: float | None = None


@dataclass
class MethodResult:
    """The results of one method.

    Attributes:
        label: the method as the user wrote it.
        description: what exactly ran.
        tasks: one entry for each task, in order; None: there is no network.
        timings: by group.
        memory: bytes by group: the peak while networks were made, above what was in use before. Groups where it is
            unknown are missing.
        skipped: (split or None for all, reason).
    """

    label: str
    description: str = ""
    tasks: list[TaskResult | None] = field(default_factory=list)
    timings: dict[Group, Timing] = field(default_factory=dict)
    memory: dict[Group, int] = field(default_factory=dict)
    skipped: list[tuple[str | None, str]] = field(default_factory=list)


@contextmanager
def no_progress(description: str, total: int) -> Iterator[Callable[..., None]]:
    """Show no progress."""
    yield lambda count=1, note="": None


def run_methods(
    methods: Mapping[str, Method], tasks: Sequence[Task], scorer: Scorer, progress: Progress = no_progress
) -> list[MethodResult]:
    """Run all methods on all tasks. A method that cannot run does not stop the others.

    Args:
        methods: label -> method.
        tasks: tasks with their splits.
        scorer: measures accuracies.
        progress: shows the progress of each method.
    """
    results = []
    for label, method in methods.items():
        with progress(label, len(tasks)) as advance:
            results.append(run_method(label, method, tasks, scorer, advance))
    return results


def run_method(
    label: str,
    method: Method,
    tasks: Sequence[Task],
    scorer: Scorer,
    advance: Callable[..., None],
    keep: Callable[[int, Network], None] = lambda number, network: None,
    limit: float | None = None,
) -> MethodResult:
    """Run one method on all tasks.

    Args:
        label: what the method's rows are called.
        method: the method.
        tasks: tasks with their splits.
        scorer: measures accuracies.
        advance: called with the number of tasks just done.
        keep: called with the number of a task and its network, once it is measured.
        limit: how many seconds the networks of a group may take; None: as many as they need. Once they took that long,
            the group's other tasks are left out. At least two tasks get a network.
    """
    result = MethodResult(label, tasks=[None] * len(tasks))
    try:
        method.prepare(tasks)
        result.description = method.describe()
    except TinaError as error:
        result.skipped.append((None, str(error)))
        return result
    # The tasks of a group have one class count, so a method can answer them in batches, and their times are comparable.
    groups: dict[Group, list[int]] = {}
    for i, task in enumerate(tasks):
        groups.setdefault(group_of(task), []).append(i)
    reasons: dict[str, list[str]] = {}
    for group, members in groups.items():
        try:
            missing = _run_group(result, method, group, members, tasks, scorer, advance, keep, limit)
        except TinaError as error:
            missing = [str(error)] * sum(result.tasks[i] is None for i in members)
        reasons.setdefault(group[0], []).extend(missing)
    _summarise(result, tasks, reasons)
    return result


def _run_group(
    result: MethodResult,
    method: Method,
    group: Group,
    members: Sequence[int],
    tasks: Sequence[Task],
    scorer: Scorer,
    advance: Callable[..., None],
    keep: Callable[[int, Network], None],
    limit: float | None,
) -> list[str]:
    """Fill in the results of one group, and return the reasons why tasks have no network."""
    device = scorer.bank.images.device
    most = method.batch_size  # asked before anything is measured, because it may raise
    peak = PeakMemory(device)
    with peak:
        # Methods with a batch size of 1 are timed in the loop below anyway.
        alone = _time_singles(method, [tasks[i] for i in members], device) if most > 1 else None
    seconds, made = 0.0, 0
    reasons: list[str] = []
    start = 0
    while start < len(members):
        size = most
        if limit is not None:
            if made >= _LEAST and seconds >= limit:
                reasons += [f"its networks took {seconds:.0f} s, and a row gets {limit:g} s"] * (len(members) - start)
                advance(len(members) - start)
                break
            if alone:  # a batch cannot be stopped, so a slow method gets a small one
                size = min(size, max(int((limit - seconds) / alone), _LEAST))
        chunk = members[start : start + size]
        start += size
        with peak:
            answers, spent = _ask(method, [tasks[i] for i in chunk], device)
        networks = 0
        for i, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, Missing):
                if not answer.intended:
                    reasons.append(answer.reason)
                continue
            networks += 1
            try:
                accuracy = scorer.accuracy(answer, tasks[i].classes)
            except TinaError as error:
                reasons.append(str(error))
                continue
            result.tasks[i] = TaskResult(accuracy, answer.num_parameters)
            keep(i, answer)
        if networks:
            seconds, made = seconds + spent, made + networks
        advance(len(chunk))
    if made and peak.peak is not None:
        result.memory[group] = peak.peak
    if made:
        each = seconds / made
        result.timings[group] = Timing(each) if alone is None else Timing(alone, each)
    return reasons


def ask_all(
    method: Method, tasks: Sequence[Task], device: torch.device, advance: Callable[[int], None] = lambda count: None
) -> list[Answer]:
    """Return the answer to each task, in order. The method must be prepared.

    Args:
        method: the method.
        tasks: tasks of one or several class counts.
        device: where networks are made.
        advance: called with the number of tasks just done.
    """
    answers: dict[int, Answer] = {}
    counts: dict[int, list[int]] = {}
    for i, task in enumerate(tasks):
        counts.setdefault(len(task.classes), []).append(i)
    for members in counts.values():
        for start in range(0, len(members), method.batch_size):
            chunk = members[start : start + method.batch_size]
            found, _ = _ask(method, [tasks[i] for i in chunk], device)
            answers.update(zip(chunk, found, strict=True))
            advance(len(chunk))
    return [answers[i] for i in range(len(tasks))]


def _ask(method: Method, tasks: Sequence[Task], device: torch.device) -> tuple[list[Answer], float]:
    """Return answers and seconds.

    If a whole batch fails, its tasks are tried one by one, so that one bad name spoils only its own task.
    """
    start = _clock(device)
    try:
        answers = method.parameters(tasks)
    except TinaError as error:
        if len(tasks) == 1:
            return [Missing(str(error))], 0.0
        parts = [_ask(method, [task], device) for task in tasks]
        return [answers[0] for answers, _ in parts], sum(spent for _, spent in parts)
    return answers, _clock(device) - start


def _time_singles(method: Method, tasks: Sequence[Task], device: torch.device) -> float | None:
    """Return the median seconds of a single task after a warm-up, over a few tasks, or over fewer if they are slow."""
    _ask(method, tasks[:1], device)
    times: list[float] = []
    for task in tasks[:_SINGLES]:
        answers, spent = _ask(method, [task], device)
        if not isinstance(answers[0], Missing):
            times.append(spent)
        if sum(times) > _SECONDS_FOR_SINGLES:
            break
    return statistics.median(times) if times else None


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # kernels run asynchronously; without this the clock would stop too early
    return time.perf_counter()


def _summarise(result: MethodResult, tasks: Sequence[Task], reasons: Mapping[str, Sequence[str]]) -> None:
    """Add one sentence for each split in which tasks have no network."""
    if all(task is None for task in result.tasks):
        first = next((found[0] for found in reasons.values() if found), "it answered no task")
        result.skipped.append((None, first))
        return
    for split, found in reasons.items():
        if found:
            total = sum(1 for task in tasks if group_of(task)[0] == split)
            result.skipped.append((split, f"{len(found)} of {total} tasks left out; the first because {found[0]}"))
