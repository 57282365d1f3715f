"""A network of integers: exactly what the device computes. `reference` runs it in NumPy, and `source` writes it in C.

Values are numbered as in `operations`. They are stored as (H, W, C). A value's real number is scale * (integer - zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.c.operations import Shape

__all__ = [
    "IntegerAdd",
    "IntegerClamp",
    "IntegerConvolution",
    "IntegerGroupNorm",
    "IntegerInput",
    "IntegerMax",
    "IntegerMean",
    "IntegerNetwork",
    "IntegerOperation",
    "Quantisation",
]

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Quantisation:
    """How integers stand for real numbers: real = scale * (integer - zero).

    Attributes:
        scale: of one step.
        zero: the integer that stands for 0.
        bits: 8, 16 or 32, with a sign.
    """

    scale: float
    zero: int
    bits: int = 8


@dataclass(frozen=True, eq=False)
class IntegerInput:
    """Turns pixels into value 0: ((pixel * factors[c] + offsets[c]) >> 16), clamped to 8 bits."""

    factors: Int32s
    offsets: Int32s


@dataclass(frozen=True, eq=False)
class IntegerConvolution:
    """weights (O, kernel height, kernel width, I), and (O,) biases, mantissas and shifts. Padding is real zero."""

    input: int
    weights: Int8s
    biases: Int32s
    mantissas: Int32s
    shifts: npt.NDArray[np.uint8]
    stride: Pair
    padding: Pair
    groups: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class IntegerMean:
    """The sum of a window times mantissa / 2^shift."""

    input: int
    kernel: Pair
    stride: Pair
    padding: Pair
    mantissa: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class IntegerMax:
    """The maximum of a window. The result has the quantisation of the input."""

    input: int
    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True, eq=False)
class IntegerGroupNorm:
    """Group normalisation; `kernels.c` derives the arithmetic.

    Attributes:
        input: number of the value.
        groups: number of groups.
        eps: n^2 * eps / scale^2, where n is the number of integers of a group.
        factors: (C,) mantissas of weight / scale of the result.
        shift: of the factors.
        offsets: (C,) 256 * bias / scale of the result.
        low: lowest result.
        high: highest result.
    """

    input: int
    groups: int
    eps: int
    factors: Int32s
    shift: int
    offsets: Int32s
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class IntegerAdd:
    """(u * mantissas[0] + v * mantissas[1]) / 2^shift of two values u and v, counted from their zeros."""

    input: int
    other: int
    mantissas: Pair
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class IntegerClamp:
    """Clamps a value. The result has the quantisation of the input."""

    input: int
    low: int
    high: int


IntegerOperation = IntegerConvolution | IntegerMean | IntegerMax | IntegerGroupNorm | IntegerAdd | IntegerClamp


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A network of integers.

    Attributes:
        input: makes value 0 from pixels.
        operations: operation i makes value i + 1.
        shapes: (C, H, W) of each value.
        quantisations: of each value.
    """

    input: IntegerInput
    operations: tuple[IntegerOperation, ...]
    shapes: tuple[Shape, ...]
    quantisations: tuple[Quantisation, ...]

    @property
    def logit_scale(self) -> float:
        """What a step of the logits is worth. Logits have no zero offset."""
        return self.quantisations[-1].scale
