"""*p-model*: the stored p-Model of a task (the generic model fine-tuned on its images), if the task is in the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing, Network

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["PModel"]


class PModel(Method):
    """The stored p-Model with its outputs in the task's order.

    If the zoo has several for a class set, the first is used.
    """

    name = "p-model"

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.zoo = self.context.need_zoo()
        # Reversed, so that the first of several entries for a class set remains.
        self.by_set = {frozenset(entry.classes): entry for entry in reversed(self.zoo.entries)}
        if not any(task.class_set in self.by_set for task in tasks):
            raise MethodUnavailable(f"no task is one of the zoo's {len(self.zoo.entries)}")

    def describe(self) -> str:
        return f"zoo '{self.zoo.folder.name}', trained on its '{self.zoo.config.train_split}' images"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self._answer(task) for task in tasks]

    def _answer(self, task: Task) -> Answer:
        entry = self.by_set.get(task.class_set)
        if entry is None:
            return Missing("the task is not in the zoo")
        spec, count = self.context.spec, len(task.classes)
        order = torch.tensor([entry.classes.index(name) for name in task.classes])
        state = spec.select_classes(spec.unflatten(self.zoo.flat(entry.id), count), order)
        return Network(spec.flatten(state, count), task.classes)
