"""What every evaluation method promises: networks that fit the tasks, follow from seed and task alone, and change nothing.

Shapes: N parameters of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tina_framework.errors import PluginError
from tina_framework.interfaces.method import Answer, Context, Method, MethodUnavailable, Network
from tina_framework.plugin.checked_method import checked_network
from tina_framework.testing.findings import CheckSkipped, guarded, needs, require
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task

if TYPE_CHECKING:
    from tina_framework.interfaces.encoder import Encoder, Vectors

__all__ = [
    "check_answers",
    "check_batches",
    "check_changes_nothing",
    "check_fields",
    "check_reads_text",
    "check_repeatable",
]

Make = Callable[[], Method]
"""Makes a method with its context and argument."""

_TASKS = 3


def check_fields(method: Make) -> None:
    """It is a `Method` with a name, a batch size, and texts for the report."""
    with guarded("Making the method failed", "It is made once for each evaluation.", "See the error above."):
        made = method()
    require(
        isinstance(made, Method) and hasattr(made, "context"),
        f"It is {made!r}.",
        "The framework calls prepare() and parameters() of a Method that has its context.",
        "Derive it from tina_framework.interfaces.method.Method, and call super().__init__(context, argument).",
    )
    require(
        isinstance(getattr(made, "name", None), str) and made.name != "",
        f"name is {getattr(made, 'name', None)!r}.",
        "Users write it after --methods.",
        "Set the class attribute to the registered name.",
    )
    size = made.batch_size
    require(
        isinstance(size, int) and not isinstance(size, bool) and size >= 1,
        f"batch_size is {size!r}.",
        "parameters() is given so many tasks at a time.",
        "Set it to a whole number above 0.",
    )
    require(
        isinstance(made.reads_text, bool),
        f"reads_text is {made.reads_text!r}.",
        "tina bench measures prompt sensitivity by it.",
        "Set it to True if the networks depend on vectors of context.encoder, else to False.",
    )
    odd = [field for field in ("paper", "differs", "tuning") if not isinstance(getattr(made, field), str)]
    require(
        not odd,
        f"{' and '.join(odd)} is no text.",
        "It is printed in the report of tina bench.",
        "Set it to a text; it may be empty.",
    )


@needs(check_fields)
def check_answers(method: Make, *, class_count: int = 10) -> None:
    """Each task gets a network with finite parameters of the right number, or a reason why there is none."""
    made = method()
    tasks = _tasks(made.context, class_count)
    answers = _answers(made, tasks, tasks)
    require(
        isinstance(answers, list | tuple) and len(answers) == len(tasks),
        f"parameters() returned {len(answers) if isinstance(answers, list | tuple) else answers!r} for {len(tasks)} tasks.",
        "Answers belong to tasks by their place.",
        "Return a list with one answer for each task.",
    )
    for answer, task in zip(answers, tasks, strict=True):
        try:
            checked_network(answer, task.classes, made.context.spec, "parameters()")
        except PluginError as error:
            require(False, str(error), "Such a network cannot be measured.", "Mend parameters().")
    require(isinstance(made.describe(), str), "describe() gives no text.", "It is printed.", "Return a text.")


@needs(check_answers)
def check_changes_nothing(method: Make, *, class_count: int = 10) -> None:
    """The generic model and the zoo stay as they were."""
    made = method()
    context, tasks = made.context, _tasks(made.context, class_count)
    before = _contents(context)
    _answers(made, tasks, tasks)
    changed = [name for name, tensor in _contents(context).items() if not torch.equal(before[name], tensor)]
    require(
        not changed,
        f"It changes {', '.join(changed[:3])}.",
        "The methods of an evaluation share their context.",
        "Work on copies.",
    )


@needs(check_changes_nothing)
def check_repeatable(method: Make, *, class_count: int = 10) -> None:
    """A second instance gives the same networks: every draw follows from ``context.seed``."""
    first, second = method(), method()
    tasks = _tasks(first.context, class_count)
    torch.manual_seed(1)
    one = _flats(_answers(first, tasks, tasks))
    torch.manual_seed(2)
    other = _flats(_answers(second, tasks, tasks))
    _compare(one, other, "A second instance gives other networks", "Seed every draw with context.seed and the task.")


@needs(check_repeatable)
def check_batches(method: Make, *, class_count: int = 10) -> None:
    """A task gets the same network alone as among others, up to rounding."""
    made = method()
    tasks = _tasks(made.context, class_count)
    together = _flats(_answers(made, tasks, tasks))
    alone = _flats([answer for task in tasks for answer in _answers(made, [task], None)])
    _compare(together, alone, "A task gets another network alone than among others", "Let no task depend on its batch.")


@needs(check_repeatable)
def check_reads_text(method: Make, *, class_count: int = 10) -> None:
    """If it says that it reads text, other vectors in `parameters` give other networks."""
    made = method()
    if not made.reads_text:
        raise CheckSkipped("The method does not say that it reads text.")
    tasks = _tasks(made.context, class_count)
    own = _flats(_answers(made, tasks, tasks))
    encoder = _Turned(made.context.encoder)
    with ExitStack() as stack:
        stack.enter_context(_encoder_of(made.context, encoder))
        other = method()
        if other.context is not made.context:
            stack.enter_context(_encoder_of(other.context, encoder))
        with guarded("prepare() failed", "It is called once, with all tasks.", "See the error above."):
            other.prepare(tasks)
        encoder.turned = True
        turned = _flats(_answers(other, tasks, None))
    same = own.keys() == turned.keys() and all(torch.equal(own[i], turned[i]) for i in own)
    require(
        not same,
        "reads_text is True, but the networks are the same for other vectors.",
        "tina bench replaces the encoder after prepare() to measure prompt sensitivity.",
        "Encode the task's classes with self.context.encoder in parameters(), or set reads_text to False.",
    )


class _Turned:
    """An encoder that gives the numbers of each vector in reverse once `turned` is set."""

    def __init__(self, encoder: Encoder) -> None:
        self.name, self.dim, self.space, self.templates = encoder.name, encoder.dim, encoder.space, encoder.templates
        self.turned = False
        self._encoder = encoder

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        vectors = self._encoder.encode_text(texts, template=template)
        return vectors[:, ::-1].copy() if self.turned else vectors


@contextmanager
def _encoder_of(context: Context, encoder: _Turned) -> Iterator[None]:
    """Replace the encoder in the context itself: a copy would not reach a method that another one wraps."""
    before, context.replaced_encoder = context.replaced_encoder, encoder
    try:
        yield
    finally:
        context.replaced_encoder = before


def _tasks(context: Context, class_count: int) -> list[Task]:
    names = context.generator.config.class_names
    return TaskSampler(names, class_counts={class_count: 1.0}, split="seen").tasks(_TASKS, allow_fewer=True)


def _answers(method: Method, tasks: Sequence[Task], prepare: Sequence[Task] | None) -> list[Answer]:
    """Return the answers, after `prepare` with these tasks unless that is None."""
    with guarded("prepare() or parameters() failed", "They are given ordinary tasks.", "See the error above."):
        try:
            if prepare is not None:
                method.prepare(prepare)
            return method.parameters(tasks)
        except MethodUnavailable as error:
            raise CheckSkipped(f"The method cannot run here: {error}.") from error


def _flats(answers: Sequence[Answer]) -> dict[int, Tensor]:
    found = {i: answer.flat.detach().cpu().float() for i, answer in enumerate(answers) if isinstance(answer, Network)}
    if not found:
        raise CheckSkipped("The method has no network for these tasks.")
    return found


def _compare(one: dict[int, Tensor], other: dict[int, Tensor], happened: str, fix: str) -> None:
    require(one.keys() == other.keys(), f"{happened}: for other tasks.", "Figures must be repeatable.", fix)
    most = max(float((one[i] - other[i]).abs().max() / one[i].abs().max().clamp(min=1e-6)) for i in one)
    require(
        most < 1e-3, f"{happened}: by up to {most:.2g} of the greatest parameter.", "Figures must be repeatable.", fix
    )


def _contents(context: Context) -> dict[str, Tensor]:
    """Return copies of the tensors that methods share."""
    found = {} if context.generic is None else {f"generic.{n}": t.clone() for n, t in context.generic.state.items()}
    if context.zoo is not None:
        found |= {f"zoo.generic.{name}": tensor.clone() for name, tensor in context.zoo.generic.items()}
    return found
