"""*selection*: the generic model with only the outputs of the task's classes (classifier selection).

The network is not trained again. It only has to choose among the task's classes, not among all classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tina_framework.evaluation.generic_model import read_generic
from tina_framework.interfaces.method import Answer, Method

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Selection"]


class Selection(Method):
    """Needs neither a generator nor training for a task. Every other method has to be better than this."""

    name = "selection"

    def prepare(self, tasks: Sequence[Task]) -> None:
        if self.argument is None:
            self.generic = self.context.need_generic()
        else:
            self.generic = read_generic(self.argument, self.context.spec, self.context.dataset.class_names)

    def describe(self) -> str:
        return f"rows of {self.generic.source}"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self.generic.select(self.context.spec, task.classes) for task in tasks]
