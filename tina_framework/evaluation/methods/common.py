"""*common*: the generator with shared tensors that do not depend on the task.

It shows how much of the gain all tasks share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tina_framework.evaluation.methods.tina import Tina
from tina_framework.interfaces.method import Answer, Network
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.zoo.task_sampler import TaskSampler

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
        spec, answers = self.context.spec, super().parameters(tasks)
        replaced: list[Answer] = []
        for answer in answers:
            assert isinstance(answer, Network)
            count = len(answer.outputs)
            state = spec.unflatten(answer.flat, count) | self._mean(count)
            replaced.append(Network(spec.flatten(state, count), answer.outputs))
        return replaced

    def _mean(self, count: int) -> dict[str, Tensor]:
        """Return the mean shared tensors of networks for `count` classes."""
        if count not in self._means:
            spec = self.context.spec
            sampler = TaskSampler(self.generator.config.class_names, class_counts={count: 1.0}, seed=self.context.seed)
            drawn = [task.classes for task in sampler.tasks(_TASKS, allow_fewer=True)]
            conditions = encode_tasks(drawn, self.encoder, self.context.template)
            flats = self.generator.generate_parameters(conditions, self.options)
            mean = spec.unflatten(torch.stack(flats).mean(dim=0), count)
            self._means[count] = {name: mean[name] for name, axis in spec.class_axes.items() if axis is None}
        return self._means[count]
