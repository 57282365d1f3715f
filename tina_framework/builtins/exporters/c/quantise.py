"""Turn a network of real numbers into one of integers, with the scales that pictures for calibration suggest.

Weights have one scale for each output, activations one scale and one zero for each value: 8 bits (Jacob et al. 2018, arXiv
1712.05877). Means that only convolutions and linear layers read keep 16 bits. They are few numbers, each of which many weights
multiply, and with 8 bits they would cost as much accuracy as all other activations together.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tina_framework.builtins.exporters.c.calibrate import ranges_of
from tina_framework.builtins.exporters.c.fixed_point import INT32_MAX, fixed
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
from tina_framework.builtins.exporters.c.operations import (
    Add,
    Bounds,
    Clamp,
    Convolution,
    Floats,
    GroupNorm,
    Network,
    Operation,
    Pool,
)
from tina_framework.builtins.exporters.c.reference import Integers, first_value, patches, result_of
from tina_framework.builtins.exporters.c.rounding import rounded_weights
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork, Pixels

__all__ = ["MAX_PICTURES", "ending_in_convolution", "quantised"]

MAX_PICTURES = 256
"""So many pictures are used at most, at even distances. More change the ranges little, and all their values are in memory."""

_MAX_POSITIONS = 20_000
"""So many positions of a convolution are used at most to round its weights, at even distances."""

_MEAN_STEPS = 128
"""Steps of a mean of 16 bits in one step of what it is the mean of. A mean of 8-bit numbers always fits."""

_MAX_NORMALISED = 2**21
"""Integers of a group that `IntegerGroupNorm` can hold without overflow."""


_NORM_SHIFT = 40
"""Largest shift of the factors of `IntegerGroupNorm`: 22 more are still a shift of 64 bits."""


def quantised(network: Network, source: ExportNetwork, pixels: Pixels) -> IntegerNetwork:
    """Return a network of integers.

    Args:
        network: what `read_network` read.
        source: the classifier that it was read from.
        pixels: pictures (N, H, W, 3) for calibration.

    Raises:
        ConfigError: a layer is too large for sums of 32 bits, or its numbers have no form in 8 bits.
    """
    network = ending_in_convolution(network)
    chosen = pixels[:: math.ceil(len(pixels) / MAX_PICTURES)]
    maker = _Quantiser(network, source, chosen)
    for operation in network.operations:
        maker.add(operation)
    return IntegerNetwork(maker.input, tuple(maker.operations), network.shapes, tuple(maker.quantisations))


def ending_in_convolution(network: Network) -> Network:
    """Append a layer that changes nothing, unless the logits come from a layer whose sums can be used as they are."""
    last = network.operations[-1] if network.operations else None
    if isinstance(last, Convolution) and network.output == len(network.operations):
        return network
    classes = network.shapes[network.output][0]
    same = Convolution(network.output, np.eye(classes)[:, :, None, None], np.zeros(classes))
    operations = (*network.operations, same)
    return replace(network, operations=operations, shapes=(*network.shapes, (classes, 1, 1)), output=len(operations))


class _Quantiser:
    """Quantises one operation after the other, and computes its integers on the pictures.

    Attributes:
        input: turns pixels into value 0.
        operations: those done.
        quantisations: of value 0 and of the results of `operations`.
    """

    def __init__(self, network: Network, source: ExportNetwork, pixels: Pixels) -> None:
        self._network = network
        self._ranges = ranges_of(network, source, pixels)
        self.input, first = _quantised_input(source)
        self.quantisations = [first]
        self.operations: list[IntegerOperation] = []
        self._values: list[Integers] = [first_value(self.input, pixels)]

    def add(self, operation: Operation) -> None:
        """Quantise the next operation."""
        number = len(self.operations) + 1
        match operation:
            case Convolution():
                made, result = self._convolution(operation, number)
            case Pool() if operation.kind == "mean":
                made, result = self._mean(operation, number)
            case Pool():
                result = self.quantisations[operation.input]
                made = IntegerMax(operation.input, operation.kernel, operation.stride, operation.padding)
            case GroupNorm():
                made, result = self._group_norm(operation, number)
            case Add():
                made, result = self._sum(operation, number)
            case Clamp():
                result = self.quantisations[operation.input]
                made = IntegerClamp(operation.input, *_limits(operation.bounds, result))
        before = tuple(self.quantisations)
        self.operations.append(made)
        self.quantisations.append(result)
        self._values.append(result_of(made, self._values, before, result))

    def _convolution(self, operation: Convolution, number: int) -> tuple[IntegerOperation, Quantisation]:
        read = self.quantisations[operation.input]
        outputs, inner, height, width = operation.weight.shape
        # (H, W, I): the order in which values are stored.
        weights = operation.weight.transpose(0, 2, 3, 1).reshape(outputs, -1)
        # A scale is also large enough for the bias to fit into 32 bits.
        scales = np.maximum(np.abs(weights).max(axis=1) / 127, np.abs(operation.bias) / (read.scale * 2**30))
        scales = np.maximum(scales, max(float(scales.max()) * 1e-6, 1e-30))
        whole, biases = self._rounded(operation, weights, scales)
        integers = np.rint(biases / (read.scale * scales))
        span = max(abs(_low(read.bits) - read.zero), abs(_high(read.bits) - read.zero))
        if float((np.abs(whole).sum(axis=1) * span + np.abs(integers)).max()) > INT32_MAX:
            raise ConfigError(
                f"Format 'c' cannot hold this network: a layer with {weights.shape[1]} inputs may overflow sums of 32 bits. Export "
                "to onnx or executorch instead."
            )
        result = self._range(number)
        if number == len(self._network.operations):
            result = Quantisation(float((read.scale * scales).max()), 0, 32)
        fixed_points = [_fixed(factor) for factor in read.scale * scales / result.scale]
        low, high = _limits(operation.bounds, result)
        made = IntegerConvolution(
            operation.input,
            whole.reshape(outputs, height, width, inner).astype(np.int8),
            integers.astype(np.int32),
            np.array([mantissa for mantissa, _ in fixed_points], np.int32),
            np.array([shift for _, shift in fixed_points], np.uint8),
            operation.stride,
            operation.padding,
            operation.groups,
            low,
            high,
        )
        return made, result

    def _rounded(self, operation: Convolution, weights: Floats, scales: Floats) -> tuple[Floats, Floats]:
        """Return integer weights (O, D), and biases that make up for their errors."""
        read = self.quantisations[operation.input]
        kernel = (operation.weight.shape[2], operation.weight.shape[3])
        value = self._values[operation.input]
        # A part of the pictures is enough for the number of positions, and the windows of all would be large.
        _, height, width = self._network.shapes[len(self.operations) + 1]
        value = value[:: max(1, len(value) * height * width // (4 * _MAX_POSITIONS))]
        step = math.ceil(len(value) * height * width / _MAX_POSITIONS)
        windows, _ = patches(
            value, read.zero, kernel, operation.stride, operation.padding, operation.groups, np.float32
        )
        parts = [
            rounded_weights(part, bias, scale, window[::step].astype(np.float64) * read.scale)
            for part, bias, scale, window in zip(
                np.split(weights, operation.groups),
                np.split(operation.bias, operation.groups),
                np.split(scales, operation.groups),
                windows,
                strict=True,
            )
        ]
        return np.concatenate([whole for whole, _ in parts]), np.concatenate([bias for _, bias in parts])

    def _mean(self, operation: Pool, number: int) -> tuple[IntegerOperation, Quantisation]:
        read = self.quantisations[operation.input]
        readers = self._network.readers(number)
        if readers and all(isinstance(reader, Convolution) for reader in readers):
            result = Quantisation(read.scale * operation.factor / _MEAN_STEPS, 0, 16)
        else:
            result = self._range(number)
        area = operation.kernel[0] * operation.kernel[1]
        mantissa, shift = _fixed(read.scale * operation.factor / (area * result.scale))
        low, high = _limits(operation.bounds, result)
        made = IntegerMean(
            operation.input, operation.kernel, operation.stride, operation.padding, mantissa, shift, low, high
        )
        return made, result

    def _group_norm(self, operation: GroupNorm, number: int) -> tuple[IntegerOperation, Quantisation]:
        read, result = self.quantisations[operation.input], self._range(number)
        channels, height, width = self._network.shapes[number]
        size = height * width * channels // operation.groups
        eps = max(1, round(size**2 * operation.eps / read.scale**2))
        factors = operation.weight / result.scale
        largest = float(np.abs(factors).max())
        if size > _MAX_NORMALISED or 255**2 * size**2 + eps >= 2**61 or largest >= 2**20:
            raise ConfigError(
                f"Format 'c' cannot hold this network: group normalisation of {size} numbers, with weights of up to "
                f"{largest * result.scale:.3g}, overflows its integers. Export to onnx or executorch instead."
            )
        _, shift = fixed(largest, _NORM_SHIFT)
        low, high = _limits(operation.bounds, result)
        made = IntegerGroupNorm(
            operation.input,
            operation.groups,
            eps,
            np.clip(np.rint(np.ldexp(factors, shift)), -INT32_MAX, INT32_MAX).astype(np.int32),
            shift,
            np.clip(np.rint(256 * operation.bias / result.scale), -INT32_MAX, INT32_MAX).astype(np.int32),
            low,
            high,
        )
        return made, result

    def _sum(self, operation: Add, number: int) -> tuple[IntegerOperation, Quantisation]:
        result = self._range(number)
        factors = [self.quantisations[side].scale / result.scale for side in (operation.input, operation.other)]
        _, shift = _fixed(max(factors))
        low, high = _limits(operation.bounds, result)
        left, right = (round(math.ldexp(factor, shift)) for factor in factors)
        return IntegerAdd(operation.input, operation.other, (left, right), shift, low, high), result

    def _range(self, number: int) -> Quantisation:
        """Return 8 bits for all numbers that the value took."""
        low, high = self._ranges[number]
        scale = max((high - low) / 255, 1e-30)
        return Quantisation(scale, max(-128, min(127, round(-128 - low / scale))))


def _quantised_input(source: ExportNetwork) -> tuple[IntegerInput, Quantisation]:
    """Return how pixels become value 0: standardised, in 8 bits. The range is known, so no picture is needed."""
    mean = source.mean.double().numpy().ravel()
    std = source.std.double().numpy().ravel()
    low, high = float(min(0.0, (-mean / std).min())), float(max(0.0, ((1 - mean) / std).max()))
    # One step of 255 is left, so that rounding the zero pushes no pixel out of the range.
    scale = (high - low) / 254
    zero = round(-127 - low / scale)
    factors = np.rint(2**16 / (255 * std * scale)).astype(np.int32)
    offsets = np.rint(2**16 * (zero - mean / (std * scale)) + 2**15).astype(np.int32)
    return IntegerInput(factors, offsets), Quantisation(scale, zero)


def _limits(bounds: Bounds, result: Quantisation) -> tuple[int, int]:
    """Return the lowest and highest integer of a value: that of its bits or of its bounds."""
    lowest, highest = _low(result.bits), _high(result.bits)
    low, high = (
        limit if math.isinf(bound) else max(lowest, min(highest, round(bound / result.scale) + result.zero))
        for bound, limit in zip(bounds, (lowest, highest), strict=True)
    )
    return low, high


def _low(bits: int) -> int:
    return -(1 << (bits - 1))


def _high(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def _fixed(factor: float) -> tuple[int, int]:
    try:
        return fixed(factor)
    except ValueError as error:
        raise ConfigError(
            f"Format 'c' cannot hold this network: its numbers differ too much in size ({factor:.3g}). Export to onnx or executorch "
            "instead."
        ) from error
