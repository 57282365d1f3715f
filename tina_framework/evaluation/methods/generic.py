"""*generic*: the unchanged generic model, with its outputs for all classes of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tina_framework.interfaces.method import Answer, Method, Network

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Generic"]


class Generic(Method):
    """The greatest of all logits decides. If it belongs to no class of the task, the answer is a mistake."""

    name = "generic"
    batch_size = 1

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.generic = self.context.need_generic()
        names = self.generic.class_names
        self.network = Network(self.context.spec.flatten(self.generic.state, len(names)), names)

    def describe(self) -> str:
        return f"{self.generic.source}, all {len(self.generic.class_names)} outputs"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self.generic.missing(task.classes) or self.network for task in tasks]
