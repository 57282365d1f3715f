"""*nearest*: the p-Model of the most similar training task.

A generator that only memorises its training networks can do no better.

Shapes: M p-Models, K classes of the task, J classes of a p-Model, U different names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.evaluation.vectors import encode_known, unit
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing

if TYPE_CHECKING:
    from tina_framework.zoo.entries import ZooEntry
    from tina_framework.zoo.tasks import Task

__all__ = ["Nearest", "greedy_matching"]


def greedy_matching(similarity_MKJ: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Pair rows with columns one to one in each of M matrices, the most similar pair first.

    Args:
        similarity_MKJ: (M, K, J); -inf for columns that do not exist.

    Returns:
        (M,) the sum of the paired similarities divided by K. A row without a partner adds 0, and so does a negative
        pair.
    """
    left = similarity_MKJ.copy()
    models = np.arange(len(left))
    total = np.zeros(len(left), dtype=np.float32)
    rows, columns = left.shape[1:]
    for _ in range(min(rows, columns)):
        best = left.reshape(len(left), -1).argmax(axis=1)
        row, column = best // columns, best % columns
        total += np.maximum(left[models, row, column], 0.0)
        left[models, row, :] = -np.inf
        left[models, :, column] = -np.inf
    mean: npt.NDArray[np.float32] = total / rows
    return mean


class Nearest(Method):
    """The most similar p-Model. Classes that it lacks get their rows from the zoo's generic model.

    Tasks are compared class by class, by the cosine of the condition vectors (mean subtracted). `greedy_matching`
    pairs the classes. Among equally similar p-Models the one with the closest class count is taken, then the one with
    the lowest id.
    """

    name = "nearest"

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.zoo = self.context.need_zoo()
        encoder, space = self.context.encoder, self.context.generator.condition_space
        wanted = {name for task in tasks for name in task.classes} | {n for e in self.zoo.entries for n in e.classes}
        known, vectors = encode_known(encoder, sorted(wanted), self.context.template)
        self.number = {name: i for i, name in enumerate(known)}
        self.entries = [e for e in self.zoo.entries if self.number.keys() >= set(e.classes)]
        if not self.entries:
            raise MethodUnavailable(f"encoder '{encoder.name}' knows the class names of no p-Model")
        conditions = unit(space.apply(vectors).numpy())
        # An additional column of -inf stands for the missing classes of smaller p-Models.
        self.cosine_UU = np.pad(conditions @ conditions.T, ((0, 0), (0, 1)), constant_values=-np.inf)
        most = max(len(e.classes) for e in self.entries)
        self.members_MJ = np.full((len(self.entries), most), len(known))
        for row, entry in enumerate(self.entries):
            self.members_MJ[row, : len(entry.classes)] = [self.number[name] for name in entry.classes]
        self.encoder_name = encoder.name

    def describe(self) -> str:
        return f"of {len(self.entries)} p-Models of zoo '{self.zoo.folder.name}'"

    def closest(self, classes: Sequence[str]) -> ZooEntry:
        """Return the most similar p-Model. The encoder must know all class names."""
        rows = [self.number[name] for name in classes]
        similarity = greedy_matching(self.cosine_UU[rows][:, self.members_MJ].transpose(1, 0, 2))
        # Rounded, so that ties do not depend on the rounding errors of a machine.
        return min(
            (-round(float(score), 5), abs(len(entry.classes) - len(classes)), entry.id, entry)
            for score, entry in zip(similarity, self.entries, strict=True)
        )[3]

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self._answer(task.classes) for task in tasks]

    def _answer(self, classes: tuple[str, ...]) -> Answer:
        unknown = [name for name in classes if name not in self.number]
        if unknown:
            return Missing(f"encoder '{self.encoder_name}' does not know {', '.join(map(repr, unknown[:3]))}")
        spec, entry = self.context.spec, self.closest(classes)
        state = spec.unflatten(self.zoo.flat(entry.id), len(entry.classes))
        rows = torch.tensor([self.zoo.class_names.index(name) for name in entry.classes])
        # The p-Model's rows replace those of the generic model, which supplies the classes that the p-Model lacks.
        overlaid = {
            name: state[name] if axis is None else self.zoo.generic[name].float().index_copy(axis, rows, state[name])
            for name, axis in spec.class_axes.items()
        }
        return GenericModel(overlaid, self.zoo.class_names, f"p-Model {entry.id}").select(spec, classes)
