"""Small networks that several peers are made of. They treat the classes of a task alike, in any order and number.

Shapes: B tasks, K classes, H hidden width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["SetBlock", "SetNetwork", "mlp", "time_features"]


def mlp(width: int, hidden: int, out: int, depth: int = 1) -> nn.Sequential:
    """Return a perceptron with `depth` hidden layers and GELU."""
    layers: list[nn.Module] = [nn.Linear(width, hidden), nn.GELU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(hidden, hidden), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(hidden, out))


def time_features(times_B: Tensor, width: int) -> Tensor:
    """Return sines and cosines (B, `width`) of times between 0 and 1, at frequencies from 1 to 1000."""
    half = width // 2
    frequencies = torch.exp(torch.linspace(0, math.log(1000.0), half, device=times_B.device))
    angles = times_B[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos(), angles.new_zeros(len(angles), width - 2 * half)], dim=1)


class SetBlock(nn.Module):
    """One residual layer over a state of the task and one state for each class.

    The task reads the mean of its classes, and each class reads the task (deep sets, arXiv 1703.06114).

    Args:
        hidden: H.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.task_norm, self.class_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.to_task, self.to_class = mlp(2 * hidden, hidden, hidden), mlp(2 * hidden, hidden, hidden)

    def forward(self, task_BH: Tensor, classes_BKH: Tensor) -> tuple[Tensor, Tensor]:
        """Return both states after the layer."""
        mean = self.class_norm(classes_BKH).mean(dim=1)
        task_BH = task_BH + self.to_task(torch.cat([self.task_norm(task_BH), mean], dim=-1))
        around = self.task_norm(task_BH)[:, None].expand_as(classes_BKH)
        classes_BKH = classes_BKH + self.to_class(torch.cat([self.class_norm(classes_BKH), around], dim=-1))
        return task_BH, classes_BKH


class SetNetwork(nn.Module):
    """A function of one vector of the task and one vector for each class, to the same kinds of output.

    It is equivariant: another order of the classes gives the same outputs in that order. The last layers start at zero.

    Args:
        task_width: width of the vector of the task; 0 if there is none.
        class_width: width of the vectors of the classes.
        hidden: H.
        task_out: width of the task's output.
        class_out: width of each class's output.
        depth: number of layers.
    """

    def __init__(
        self, task_width: int, class_width: int, hidden: int, task_out: int, class_out: int, depth: int = 2
    ) -> None:
        super().__init__()
        self.read_task = nn.Linear(task_width, hidden) if task_width else None
        self.read_class = nn.Linear(class_width, hidden)
        self.blocks = nn.ModuleList(SetBlock(hidden) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.write_task, self.write_class = nn.Linear(hidden, task_out), nn.Linear(hidden, class_out)
        for layer in (self.write_task, self.write_class):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, task_BX: Tensor | None, classes_BKX: Tensor) -> tuple[Tensor, Tensor]:
        """Return the task's output (B, `task_out`) and those of the classes (B, K, `class_out`)."""
        classes = self.read_class(classes_BKX)
        task = classes.mean(dim=1) if self.read_task is None else self.read_task(task_BX)
        for block in self.blocks:
            task, classes = block(task, classes)
        return self.write_task(self.norms[0](task)), self.write_class(self.norms[1](classes))
