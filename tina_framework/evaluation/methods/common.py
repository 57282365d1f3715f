"""*common*: the generator with shared tensors that do not depend on the task.

It shows how much of the gain all tasks share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.prompt_sensitivity import mean_shared, training_tasks, with_shared
from tina_framework.interfaces.method import Answer, Network

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Common"]

_TASKS = 64


class Common(Tina):
    """The networks of *tina* with averaged shared tensors. The class rows remain the task's own.

    The average is over 64 random tasks of the training partition with the same class count, drawn from the classes
    that the generator was trained on. If *tina* is no better than this method, the generator writes a better base
    network than the generic model, but does not adapt it to the task.
    """

    name = "common"
    # The members share everything but their rows, so an ensemble of them equals one network with the mean of their rows.
    compose = "merge"

    def prepare(self, tasks: Sequence[Task]) -> None:
        super().prepare(tasks)
        self._means: dict[int, dict[str, Tensor]] = {}

    def describe(self) -> str:
        return f"shared tensors averaged over {_TASKS} training tasks; {super().describe()}"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        replaced: list[Answer] = []
        for answer in super().parameters(tasks):
            assert isinstance(answer, Network)
            replaced.append(with_shared(self.context.spec, answer, self._mean(len(answer.outputs))))
        return replaced

    def _mean(self, count: int) -> dict[str, Tensor]:
        """Return the mean shared tensors of networks for `count` classes."""
        if count not in self._means:
            answers = super().parameters(training_tasks(self.context, count, _TASKS))
            self._means[count] = mean_shared(self.context.spec, answers, count)
        return self._means[count]
