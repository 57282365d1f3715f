"""*average*: the mean p-Model. It shows what all p-Models have in common, without adapting to any task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.interfaces.method import Answer, Method
from tina_framework.interfaces.spec import ParameterSpec

if TYPE_CHECKING:
    from tina_framework.zoo.store import Zoo
    from tina_framework.zoo.tasks import Task

__all__ = ["Average", "mean_model"]


def mean_model(spec: ParameterSpec, zoo: Zoo) -> tuple[GenericModel, int]:
    """Return the mean of the zoo's p-Models as a model of all classes.

    A shared tensor is the mean over all p-Models. The row of a class is the mean over the p-Models that have the
    class.

    Returns:
        The mean model, and how many classes no p-Model has. Their rows are those of the generic model.
    """
    names = zoo.class_names
    number = {name: i for i, name in enumerate(names)}
    sums: dict[str, Tensor] = {name: torch.zeros_like(tensor.double()) for name, tensor in zoo.generic.items()}
    counts = torch.zeros(len(names), dtype=torch.float64)
    for entry in zoo.entries:
        state = spec.unflatten(zoo.flat(entry.id).double(), len(entry.classes))
        rows = torch.tensor([number[name] for name in entry.classes])
        counts[rows] += 1
        for name, axis in spec.class_axes.items():
            if axis is None:
                sums[name] += state[name]
            else:
                sums[name].index_add_(axis, rows, state[name])
    mean = {}
    for name, axis in spec.class_axes.items():
        if axis is None:
            mean[name] = (sums[name] / len(zoo.entries)).float()
            continue
        # Classes that no p-Model has get the generic model's row; clamping avoids a division by zero there.
        shape = [len(names) if i == axis else 1 for i in range(sums[name].dim())]
        per_row = counts.view(shape)
        mean[name] = torch.where(per_row > 0, sums[name] / per_row.clamp(min=1), zoo.generic[name].double()).float()
    model = GenericModel(mean, names, f"mean of {len(zoo.entries)} p-Models of zoo '{zoo.folder.name}'")
    return model, int((counts == 0).sum())


class Average(Method):
    """The mean p-Model, with the mean rows of the task's classes."""

    name = "average"

    def prepare(self, tasks: Sequence[Task]) -> None:
        zoo = self.context.need_zoo()
        self.model, self.from_generic = mean_model(self.context.spec, zoo)

    def describe(self) -> str:
        rest = f", {self.from_generic} rows of the generic model" if self.from_generic else ""
        return self.model.source + rest

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self.model.select(self.context.spec, task.classes) for task in tasks]
