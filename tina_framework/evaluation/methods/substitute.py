"""*substitute*: *selection*, where unknown classes get the rows of the known classes with the most similar names.

Shapes: U unknown classes of a task, S substitutes, which are classes the task does not ask for, E condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.evaluation.vectors import encode_known, unit
from tina_framework.interfaces.method import Answer, Method, Missing, Network

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Substitute", "assign"]


def assign(similarity_US: npt.NDArray[np.float32]) -> list[int]:
    """Return a column for each row. No column is used twice, and the most similar pair comes first; U <= S."""
    left = similarity_US.copy()
    chosen = [-1] * len(left)
    for _ in range(len(left)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        chosen[int(row)] = int(column)
        left[row, :] = -np.inf
        left[:, column] = -np.inf
    return chosen


class Substitute(Method):
    """*selection* with rows of other classes where the generic model has none.

    Classes are compared by the cosine of their condition vectors (mean subtracted). A class of the task is no
    substitute for another one, and no class is a substitute twice. Classes that the generic model has keep their own
    rows.
    """

    name = "substitute"

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.generic = self.context.need_generic()
        encoder, space = self.context.encoder, self.context.generator.condition_space
        asked = {name for task in tasks for name in task.classes} - set(self.generic.class_names)
        known, vectors = encode_known(encoder, [*self.generic.class_names, *sorted(asked)], self.context.template)
        self.number = {name: i for i, name in enumerate(known)}
        conditions = unit(space.apply(vectors).numpy()) if known else np.zeros((0, encoder.dim), dtype=np.float32)
        self.cosine: npt.NDArray[np.float32] = conditions @ conditions.T
        self.encoder_name = encoder.name

    def describe(self) -> str:
        return f"rows of {self.generic.source}; for classes it lacks, those of the most similar names"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self._answer(task.classes) for task in tasks]

    def _answer(self, classes: tuple[str, ...]) -> Answer:
        rows = self.substitutes(classes)
        if isinstance(rows, Missing):
            return rows
        network = self.generic.select(self.context.spec, rows)
        return network if isinstance(network, Missing) else Network(network.flat, classes)

    def substitutes(self, classes: tuple[str, ...]) -> tuple[str, ...] | Missing:
        """Return for each class the class whose row it gets."""
        trained = self.generic.class_names
        unknown = [name for name in classes if name not in trained]
        if not unknown:
            return classes
        unread = [name for name in unknown if name not in self.number]
        if unread:
            return Missing(f"encoder '{self.encoder_name}' does not know {', '.join(map(repr, unread[:3]))}")
        free = [name for name in trained if name in self.number and name not in classes]
        if len(free) < len(unknown):
            return Missing(f"{len(unknown)} classes are unknown, but only {len(free)} others can replace them")
        rows, columns = ([self.number[name] for name in names] for names in (unknown, free))
        chosen = dict(zip(unknown, assign(self.cosine[np.ix_(rows, columns)]), strict=True))
        return tuple(free[chosen[name]] if name in chosen else name for name in classes)
