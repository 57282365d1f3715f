"""What a peer is given: the classes of tasks as vectors, and for training from weights their p-Models.

Shapes: B tasks with K classes each, E width of a conditioning vector, S shared parameters, R parameters of a class row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["TaskInputs", "WeightBatch"]


@dataclass(frozen=True, eq=False)
class TaskInputs:
    """The tasks of one batch.

    Attributes:
        classes: the class names of each of the B tasks.
        conditions: (B, K, E) conditioning vectors of the classes.
        draws: one random generator on the CPU for each task. So a task gets the same noise alone and in a batch.
        pictures: (B, K, P, C, H, W) example pictures of each class, as the target network takes them. None unless the
            peer asks for some (`Peer.shots`).
    """

    classes: Sequence[tuple[str, ...]]
    conditions: Tensor
    draws: Sequence[torch.Generator]
    pictures: Tensor | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.conditions.shape[1])

    def gaussian(self, *shape: int) -> Tensor:
        """Draw Gaussian noise (B, *shape) on the device of the conditions, each task from its own generator."""
        return self._draw(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers between 0 and 1, (B, *shape), like `gaussian`."""
        return self._draw(torch.rand, shape)

    def _draw(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if all(draws is self.draws[0] for draws in self.draws):  # as in training from weights: one call is faster
            numbers = draw((len(self), *shape), generator=self.draws[0])
        else:
            numbers = torch.stack([draw(shape, generator=draws) for draws in self.draws])
        return numbers.to(self.conditions.device)

    def to(self, device: torch.device) -> TaskInputs:
        """Return the inputs with their tensors on a device."""
        pictures = None if self.pictures is None else self.pictures.to(device)
        return replace(self, conditions=self.conditions.to(device), pictures=pictures)


@dataclass(frozen=True, eq=False)
class WeightBatch:
    """Tasks with the standardised differences of their p-Models; see `tina_peers.differences`.

    Attributes:
        inputs: the tasks.
        shared: (B, S).
        rows: (B, K, R), in the order of the classes in `inputs`.
    """

    inputs: TaskInputs
    shared: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> WeightBatch:
        """Return the batch with its tensors on a device."""
        return WeightBatch(self.inputs.to(device), self.shared.to(device), self.rows.to(device))
