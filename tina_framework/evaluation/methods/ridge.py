"""*ridge*: class rows predicted from text vectors by ridge regression, with the generic model's shared tensors.

Shapes: C known classes, E condition width, R numbers in a class's row of all tensors with a class axis, K classes of
a task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.evaluation.vectors import encode_known
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Network
from tina_framework.prompts.encoded_task import encode_tasks

if TYPE_CHECKING:
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.zoo.tasks import Task

__all__ = ["STRENGTHS", "Ridge", "left_out_errors"]

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""The strengths to choose from, as shares of the mean squared length of a condition."""


def left_out_errors(gram_CC: Tensor, rows_CR: Tensor, strength: float) -> float:
    """Return the mean squared error of each row predicted by a ridge regression on the others, in closed form.

    Args:
        gram_CC: inner products of the inputs.
        rows_CR: the values to predict, with their mean subtracted.
        strength: added to the diagonal.
    """
    inverse = torch.linalg.inv(gram_CC + strength * torch.eye(len(gram_CC), dtype=gram_CC.dtype))
    # Golub, Heath, Wahba 1979: the residual of row i without row i is (H y)_i / H_ii, with H the inverse above.
    return float(((inverse @ rows_CR) / inverse.diagonal()[:, None]).square().mean())


class Ridge(Method):
    """Learns the map from a class's text to its row of the generic model.

    Rows are predicted even for classes that the generic model has. The strength is that of `STRENGTHS` with the least
    leave-one-class-out error, or the argument.
    """

    name = "ridge"
    reads_text = True
    batch_size = 64

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is None:
            return
        try:
            fine = 0 < float(argument) < math.inf
        except ValueError:
            fine = False
        if not fine:
            raise ConfigError(f"'ridge@{argument}' has no valid strength; write a number above 0, e.g. ridge@0.1.")

    def prepare(self, tasks: Sequence[Task]) -> None:
        generic, spec, encoder = self.context.need_generic(), self.context.spec, self.context.encoder
        known, vectors = encode_known(encoder, generic.class_names, self.context.template)
        if len(known) < 2:
            raise MethodUnavailable(f"encoder '{encoder.name}' knows fewer than two of the generic model's classes")
        self.inputs_CE = self.context.generator.condition_space.apply(vectors).double()
        rows = _rows(spec, spec.select_classes(generic.state, generic.rows(known)))
        self.mean_R = rows.mean(dim=0)
        gram, centred = self.inputs_CE @ self.inputs_CE.T, rows - self.mean_R
        scale = float(gram.diagonal().mean())
        choices = STRENGTHS if self.argument is None else (float(self.argument),)
        self.strength = min(choices, key=lambda share: left_out_errors(gram, centred, share * scale))
        # Dual form of ridge regression: it needs inner products of the conditions only, a C x C matrix.
        damped = gram + self.strength * scale * torch.eye(len(known), dtype=gram.dtype)
        self.weights_CR = torch.linalg.solve(damped, centred)
        self.generic = generic

    def describe(self) -> str:
        chosen = "" if self.argument is not None else ", of least leave-one-class-out error"
        return f"{self.generic.source}, rows from {len(self.inputs_CE)} classes by strength {self.strength:g}{chosen}"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        spec, context = self.context.spec, self.context
        answers: list[Answer] = []
        for task in tasks:
            condition = encode_tasks([task.classes], context.encoder, context.template)[0]
            inputs_KE = context.generator.condition_space.apply(condition.vectors).double()
            rows_KR = (inputs_KE @ self.inputs_CE.T) @ self.weights_CR + self.mean_R
            state = _with_rows(spec, self.generic.state, rows_KR.float())
            answers.append(Network(spec.flatten(state, len(task.classes)), task.classes))
        return answers


def _rows(spec: ParameterSpec, state: dict[str, Tensor]) -> Tensor:
    """Return everything that belongs to a class, tensor after tensor: (C, R) float64."""
    parts = [
        state[name].double().movedim(axis, 0).reshape(state[name].shape[axis], -1)
        for name, axis in spec.class_axes.items()
        if axis is not None
    ]
    return torch.cat(parts, dim=1)


def _with_rows(spec: ParameterSpec, shared: Mapping[str, Tensor], rows_KR: Tensor) -> dict[str, Tensor]:
    """Return a network with these rows and the shared tensors of `shared`: the inverse of `_rows`."""
    state: dict[str, Tensor] = {}
    start = 0
    for info in spec.parameters(len(rows_KR)):
        if info.class_axis is None:
            state[info.name] = shared[info.name].float()
            continue
        rest = [length for axis, length in enumerate(info.shape) if axis != info.class_axis]
        width = math.prod(rest)
        part = rows_KR[:, start : start + width].reshape(len(rows_KR), *rest)
        state[info.name] = part.movedim(0, info.class_axis)
        start += width
    return state
