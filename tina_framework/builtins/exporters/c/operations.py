"""The few operations that a network may consist of, with real numbers.

Values are numbered: 0 is the standardised picture, and value i + 1 is the result of operation i. Each is (C, H, W): channels,
height, width. A vector of C features is (C, 1, 1). In weights, O is output channels and I input channels of one group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "UNBOUNDED",
    "Add",
    "Bounds",
    "Clamp",
    "Convolution",
    "Floats",
    "GroupNorm",
    "Network",
    "Operation",
    "Pool",
    "Shape",
]

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int, int]
Pair = tuple[int, int]

Bounds = tuple[float, float]
"""Lowest and highest value of a result: (0, inf) is ReLU, (0, 6) is ReLU6."""

UNBOUNDED: Bounds = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Convolution:
    """A 2-D convolution. A linear layer is one too: its kernel covers the whole input.

    Attributes:
        input: number of the value.
        weight: (O, I, kernel height, kernel width).
        bias: (O,).
        stride: (down, right).
        padding: (above and below, left and right), with zeros.
        groups: number of groups that the channels are divided into.
        bounds: of the result.
    """

    input: int
    weight: Floats
    bias: Floats
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, eq=False)
class Pool:
    """The maximum, or the mean, of each window.

    Attributes:
        input: number of the value.
        kind: ``max`` or ``mean``. A mean divides by the size of the window, also where it covers padding.
        kernel: (height, width) of the window.
        stride: (down, right).
        padding: (above and below, left and right).
        factor: the result is multiplied by it. A sum is a mean times the size of the window.
        bounds: of the result.
    """

    input: int
    kind: str
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    factor: float = 1.0
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, eq=False)
class GroupNorm:
    """Group normalisation (Wu & He 2018, arXiv 1803.08494, eq. 1 and 2).

    Attributes:
        input: number of the value.
        groups: number of groups of channels.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
        bounds: of the result.
    """

    input: int
    groups: int
    weight: Floats
    bias: Floats
    eps: float
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, eq=False)
class Add:
    """The sum of two values of the same shape."""

    input: int
    other: int
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, eq=False)
class Clamp:
    """An activation that could not be joined to the operation before it."""

    input: int
    bounds: Bounds


Operation = Convolution | Pool | GroupNorm | Add | Clamp


@dataclass(frozen=True, eq=False)
class Network:
    """A network.

    Attributes:
        operations: in the order in which they are computed.
        shapes: of each value. There is one more than there are operations.
        output: number of the value that holds the logits (K, 1, 1).
    """

    operations: tuple[Operation, ...]
    shapes: tuple[Shape, ...]
    output: int

    def readers(self, value: int) -> list[Operation]:
        """Return the operations that read a value."""
        return [op for op in self.operations if value in inputs_of(op)]


def inputs_of(operation: Operation) -> tuple[int, ...]:
    """Return the numbers of the values that an operation reads."""
    return (operation.input, operation.other) if isinstance(operation, Add) else (operation.input,)
