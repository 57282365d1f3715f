"""The p-Models of a zoo as tensors, grouped by class count.

Shapes: M p-Models with K classes each, S shared parameters, R parameters of a class row, E width of a conditioning vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tina_framework.interfaces.randomness import generator_at
from tina_framework.training.data import ConditionBank
from tina_framework.zoo.store import Zoo
from tina_peers.differences import Differences
from tina_peers.inputs import TaskInputs, WeightBatch

__all__ = ["PModels"]


class PModels:
    """All p-Models of a zoo, in memory.

    Args:
        zoo: where they are read.
        differences: the sizes of the architecture; it need not be fitted yet.
        conditions: the conditioning vectors of all classes.
        seed: seed of all draws.
    """

    def __init__(self, zoo: Zoo, differences: Differences, conditions: ConditionBank, seed: int) -> None:
        self.differences, self.conditions, self.seed = differences, conditions, seed
        ids: dict[int, list[int]] = {}
        for entry in zoo.entries:
            ids.setdefault(len(entry.classes), []).append(entry.id)
        self._groups: list[tuple[list[tuple[str, ...]], Tensor, Tensor]] = []
        for count, members in sorted(ids.items()):
            flats = torch.stack([flat for _, flat in zoo.flats(members)])
            shared, rows = differences.split(flats, count)
            self._groups.append(([zoo.entries[i].classes for i in members], shared, rows))

    def fit_groups(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield shared parameters (M, S), class rows (M, K, R) and conditioning vectors (M, K, E) of each group."""
        for classes, shared, rows in self._groups:
            yield shared, rows, torch.stack([self.conditions.of(names) for names in classes])

    def all(self) -> list[WeightBatch]:
        """Return all p-Models as standardised differences, one batch for each class count."""
        batches = []
        for (classes, _, _), (shared, rows, conditions) in zip(self._groups, self.fit_groups(), strict=True):
            draws = [generator_at(self.seed, "all p-Models", i) for i in range(len(classes))]
            batches.append(
                WeightBatch(
                    TaskInputs(classes, conditions, draws), *self.differences.standardise(shared, rows, conditions)
                )
            )
        return batches

    def batch(self, step: int, size: int, noise: float) -> WeightBatch:
        """Draw the p-Models of one training step. They all have the same class count; their classes are in random order.

        Args:
            step: number of the step, on which the draws depend.
            size: B.
            noise: relative length of noise on the conditioning vectors.
        """
        draws = generator_at(self.seed, "p-Models", step)
        sizes = torch.tensor([len(classes) for classes, _, _ in self._groups], dtype=torch.float64)
        classes, shared, rows = self._groups[int(torch.multinomial(sizes, 1, generator=draws))]
        picked = torch.randint(len(classes), (size,), generator=draws).tolist()
        count = rows.shape[1]
        orders = [torch.randperm(count, generator=draws) for _ in picked]
        names = [tuple(classes[i][place] for place in order.tolist()) for i, order in zip(picked, orders, strict=True)]
        flat = [name for task in names for name in task]
        # All tasks in one call, which is many times faster.
        conditions = self.conditions.draw(flat, draws, mixing=True, noise=noise).unflatten(0, (size, count))
        ordered = torch.stack([rows[i][order] for i, order in zip(picked, orders, strict=True)])
        own = [generator_at(self.seed, "noise", step)] * size  # one for all, which is faster
        return WeightBatch(
            TaskInputs(names, conditions, own), *self.differences.standardise(shared[picked], ordered, conditions)
        )
