"""Run a network of integers in NumPy. The C source gives the same integers, bit for bit.

Shapes: N pictures, H height, W width, C channels, K classes, G groups, P positions of the result, D inputs of one output, O outputs
of one group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.c.fixed_point import reciprocal_root, requantised, shifted_rounded
from tina_framework.builtins.exporters.c.integers import (
    IntegerAdd,
    IntegerClamp,
    IntegerConvolution,
    IntegerGroupNorm,
    IntegerInput,
    IntegerMax,
    IntegerMean,
    IntegerNetwork,
    IntegerOperation,
    Quantisation,
)
from tina_framework.interfaces.exporter import Pixels

__all__ = ["first_value", "integer_logits", "patches", "result_of"]

Integers = npt.NDArray[Any]
Pair = tuple[int, int]

_BATCH = 64

_TYPES = {8: np.int8, 16: np.int16, 32: np.int32}


def integer_logits(network: IntegerNetwork, pixels: Pixels) -> npt.NDArray[np.int32]:
    """Return the logits (N, K) of pictures (N, H, W, 3), as integers. Times `logit_scale` they are the logits."""
    parts = [np.zeros((0, network.shapes[-1][0]), np.int32)]
    for start in range(0, len(pixels), _BATCH):
        values: list[Integers] = [first_value(network.input, pixels[start : start + _BATCH])]
        for number, operation in enumerate(network.operations, 1):
            values.append(result_of(operation, values, network.quantisations[:number], network.quantisations[number]))
        parts.append(values[-1][:, 0, 0, :])
    return np.concatenate(parts)


def first_value(operation: IntegerInput, pixels: Pixels) -> npt.NDArray[np.int8]:
    """Return value 0 of pictures (N, H, W, 3)."""
    wide = pixels.astype(np.int32) * operation.factors + operation.offsets
    value: npt.NDArray[np.int8] = np.clip(wide >> 16, -128, 127).astype(np.int8)
    return value


def result_of(
    operation: IntegerOperation, values: list[Integers], quantisations: tuple[Quantisation, ...], result: Quantisation
) -> Integers:
    """Return the result (N, H, W, C) of one operation.

    Args:
        operation: the operation.
        values: all values so far, (N, H, W, C) each.
        quantisations: of these values.
        result: quantisation of the result.
    """
    value, zero = values[operation.input], quantisations[operation.input].zero
    found: Integers
    match operation:
        case IntegerConvolution():
            found = _convolved(operation, value, zero, result.zero)
        case IntegerMean():
            sums = _windows(_offset(value, zero), operation.kernel, operation.stride, operation.padding).sum(
                axis=(4, 5)
            )
            found = requantised(sums, operation.mantissa, operation.shift, result.zero, operation.low, operation.high)
        case IntegerMax():
            windows = _windows(value.astype(np.int64), operation.kernel, operation.stride, operation.padding, -128)
            found = windows.max(axis=(4, 5))
        case IntegerGroupNorm():
            found = _normalised(operation, _offset(value, zero), result.zero)
        case IntegerAdd():
            other = _offset(values[operation.other], quantisations[operation.other].zero)
            products = _offset(value, zero) * operation.mantissas[0] + other * operation.mantissas[1]
            found = np.clip(shifted_rounded(products, operation.shift) + result.zero, operation.low, operation.high)
        case IntegerClamp():
            found = np.clip(value, operation.low, operation.high)
    return found.astype(_TYPES[result.bits])


def patches(
    value: Integers, zero: int, kernel: Pair, stride: Pair, padding: Pair, groups: int, dtype: Any = np.float64
) -> tuple[npt.NDArray[Any], tuple[int, int, int]]:
    """Return what each position of a convolution reads, counted from zero, as (G, P, D), and (N, H, W) of the positions.

    D runs over (kernel height, kernel width, input channels of the group).
    """
    windows = _windows((value.astype(np.int32) - zero).astype(dtype), kernel, stride, padding)
    count, height, width, channels = windows.shape[:4]
    grouped = windows.reshape(count, height, width, groups, channels // groups, *kernel).transpose(3, 0, 1, 2, 5, 6, 4)
    return grouped.reshape(groups, count * height * width, -1), (count, height, width)


def _convolved(operation: IntegerConvolution, value: Integers, zero: int, result_zero: int) -> Integers:
    outputs, height, width, _ = operation.weights.shape
    # Sums of integers are exact in floating point up to 2^24 or 2^53, and matrix products of floats are fast.
    sums = np.abs(operation.weights.astype(np.int64)).sum(axis=(1, 2, 3))
    largest = int(sums.max()) * (2 * np.iinfo(value.dtype).max + 1)
    dtype = np.float32 if largest < 2**24 else np.float64
    read, positions = patches(
        value, zero, (height, width), operation.stride, operation.padding, operation.groups, dtype
    )
    weights = operation.weights.reshape(operation.groups, outputs // operation.groups, -1).astype(dtype)
    sums_GPO = np.matmul(read, weights.transpose(0, 2, 1))
    totals = sums_GPO.transpose(1, 0, 2).reshape(*positions, outputs).astype(np.int64) + operation.biases
    return requantised(totals, operation.mantissas, operation.shifts, result_zero, operation.low, operation.high)


def _normalised(operation: IntegerGroupNorm, offset: Integers, result_zero: int) -> Integers:
    """See ``normalise`` in kernels.c, whose steps these are."""
    count, height, width, channels = offset.shape
    grouped = offset.reshape(count, height * width, operation.groups, channels // operation.groups)
    size = grouped.shape[1] * grouped.shape[3]
    first, second = grouped.sum(axis=(1, 3)), (grouped * grouped).sum(axis=(1, 3))
    root, k = reciprocal_root(size * second - first * first + operation.eps)
    factors = (root[:, :, None] * operation.factors.reshape(operation.groups, -1).astype(np.int64)) >> 31
    distances = size * grouped - first[:, None, :, None]
    shift = 22 + operation.shift - k
    scaled = shifted_rounded(distances * factors[:, None], shift[:, None, :, None])
    moved = scaled.reshape(count, height, width, channels) + operation.offsets
    return np.clip(shifted_rounded(moved, 8) + result_zero, operation.low, operation.high)


def _offset(value: Integers, zero: int) -> npt.NDArray[np.int64]:
    return value.astype(np.int64) - zero


def _windows(value: Integers, kernel: Pair, stride: Pair, padding: Pair, fill: int = 0) -> Integers:
    """Return (N, H, W, C, kernel height, kernel width): a view of the padded value (N, H, W, C)."""
    sides = ((0, 0), (padding[0], padding[0]), (padding[1], padding[1]), (0, 0))
    padded = np.pad(value, sides, constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]]
