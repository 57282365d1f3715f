"""Run a network with real numbers on pictures, to see how large its values become.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

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
    inputs_of,
)
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork, Pixels

__all__ = ["ranges_of"]

_BATCH = 16

_TOLERANCE = 1e-3
"""Largest difference from the network's own logits, as a fraction of the largest logit. It is rounding, or the network was misread."""


@torch.no_grad()
def ranges_of(network: Network, source: ExportNetwork, pixels: Pixels) -> list[Bounds]:
    """Return the lowest and highest number of each value. Zero is always between them.

    Args:
        network: what `read_network` read.
        source: the classifier that it was read from.
        pixels: pictures (N, H, W, 3) for calibration.

    Raises:
        ConfigError: the operations give other logits than the classifier, or numbers that are not finite.
    """
    ranges: list[Bounds] = [(0.0, 0.0)] * len(network.shapes)
    for start in range(0, len(pixels), _BATCH):
        images = source.standardise(torch.from_numpy(pixels[start : start + _BATCH]))
        values = _values(network, images)
        logits = source.logits(images)
        _check(values[network.output].flatten(1), logits)
        ranges = [
            (min(low, float(value.min())), max(high, float(value.max())))
            for (low, high), value in zip(ranges, values, strict=True)
        ]
    return ranges


def _check(ours: Tensor, theirs: Tensor) -> None:
    if not bool(theirs.isfinite().all()):
        raise ConfigError("Logits of this classifier are not finite, so they have no form in 8-bit integers.")
    if ours.shape != theirs.shape or float((ours - theirs).abs().max()) > _TOLERANCE * max(
        1.0, float(theirs.abs().max())
    ):
        raise ConfigError(
            "Format 'c' misreads this network: its operations, one by one, do not give the network's logits. Export to onnx or "
            "executorch instead, and report the architecture."
        )


def _values(network: Network, images: Tensor) -> list[Tensor]:
    values = [images]
    for operation, shape in zip(network.operations, network.shapes[1:], strict=True):
        result = _result(operation, *(values[number] for number in inputs_of(operation)))
        values.append(result.reshape(len(images), *shape).clamp(*operation.bounds))
    return values


def _result(operation: Operation, value: Tensor, *others: Tensor) -> Tensor:
    """Return the result before it is clamped."""
    if isinstance(operation, Convolution):
        weight, bias = _tensor(operation.weight), _tensor(operation.bias)
        return F.conv2d(value, weight, bias, operation.stride, operation.padding, groups=operation.groups)
    if isinstance(operation, Pool):
        if operation.kind == "max":
            return F.max_pool2d(value, operation.kernel, operation.stride, operation.padding)
        # In float64, because this function adds up a large window without pairing, unlike `Tensor.mean`.
        means = F.avg_pool2d(value.double(), operation.kernel, operation.stride, operation.padding)
        return (means * operation.factor).float()
    if isinstance(operation, GroupNorm):
        return F.group_norm(value, operation.groups, _tensor(operation.weight), _tensor(operation.bias), operation.eps)
    if isinstance(operation, Add):
        return value + others[0]
    assert isinstance(operation, Clamp)
    return value


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(array).float()
