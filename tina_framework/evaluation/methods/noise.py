"""*noise*: the most similar p-Model with Gaussian noise.

A generator must be better than random variation of a stored model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.generator.sampling import task_draws
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.method import Answer, Network

if TYPE_CHECKING:
    from torch import Tensor

    from tina_framework.interfaces.method import Context
    from tina_framework.zoo.tasks import Task

__all__ = ["Noise", "deltas"]


def deltas(context: Context) -> dict[str, float]:
    """Return how much the p-Models of the zoo differ from the generic model, by tensor.

    The figure is the root mean square over all p-Models. A class row is compared with the generic model's row of that
    class.
    """
    spec, zoo = context.spec, context.need_zoo()
    squares, counts = dict.fromkeys(spec.class_axes, 0.0), dict.fromkeys(spec.class_axes, 0)
    for entry in zoo.entries:
        rows = torch.tensor([zoo.class_names.index(name) for name in entry.classes])
        start = spec.select_classes(zoo.generic, rows)
        for name, tensor in spec.unflatten(zoo.flat(entry.id), len(entry.classes)).items():
            squares[name] += float((tensor.double() - start[name].double()).square().sum())
            counts[name] += tensor.numel()
    return {name: math.sqrt(squares[name] / counts[name]) for name in squares}


class Noise(Nearest):
    """The networks of *nearest* with noise on every parameter: SCALE (default 1) times the `deltas` of its tensor.

    Like that of *tina*, the noise depends on the seed and the set of classes only.
    """

    name = "noise"

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is None:
            return
        try:
            fine = 0 <= float(argument) < math.inf
        except ValueError:
            fine = False
        if not fine:
            raise ConfigError(f"'noise@{argument}' has no valid scale; write a number of at least 0, e.g. noise@0.5.")

    def prepare(self, tasks: Sequence[Task]) -> None:
        super().prepare(tasks)
        self.scale = 1.0 if self.argument is None else float(self.argument)
        self.deltas = deltas(self.context)

    def describe(self) -> str:
        return f"{super().describe()}, noise of {self.scale:g} times the deltas' standard deviation"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [
            Network(self._perturbed(answer), answer.outputs) if isinstance(answer, Network) else answer
            for answer in super().parameters(tasks)
        ]

    def _perturbed(self, network: Network) -> Tensor:
        draws = task_draws(self.context.seed, 0, sorted(map(fold, network.outputs)))
        spec, count = self.context.spec, len(network.outputs)
        state = {
            name: tensor + self.scale * self.deltas[name] * torch.randn(tensor.shape, generator=draws)
            for name, tensor in spec.unflatten(network.flat, count).items()
        }
        return spec.flatten(state, count)
