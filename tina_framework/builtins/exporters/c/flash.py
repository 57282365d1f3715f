"""How many bytes of constants a network becomes, counted before its numbers are known.

The sizes of all arrays follow from the layers. Only the scales need pictures, and they change no size.
"""

from __future__ import annotations

from collections.abc import Sequence

from tina_framework.builtins.exporters.c.operations import Convolution, GroupNorm, Network, Operation, Pool
from tina_framework.builtins.exporters.c.quantise import ending_in_convolution
from tina_framework.builtins.exporters.c.source import GEOMETRY_BYTES, name_bytes

__all__ = ["flash_bytes"]

_INT32_BYTES = 4

_FACTOR_BYTES = 2 * _INT32_BYTES
"""Of a channel of the picture, or of a channel that is normalised: a factor and an offset."""

_SCALE_BYTES = 2 * _INT32_BYTES + 1
"""Of an output of a convolution: its bias, and the mantissa and the shift of its scale."""


def flash_bytes(network: Network, class_names: Sequence[str]) -> int:
    """Return the bytes of the constants that `c_source` writes: exactly its `constant_bytes`.

    Args:
        network: what `read_network` read, with any weights.
        class_names: K names.
    """
    network = ending_in_convolution(network)
    picture = network.shapes[0][0] * _FACTOR_BYTES
    return picture + sum(map(_bytes_of, network.operations)) + name_bytes(class_names)


def _bytes_of(operation: Operation) -> int:
    match operation:
        case Convolution():
            return GEOMETRY_BYTES + int(operation.weight.size) + len(operation.weight) * _SCALE_BYTES
        case Pool():
            return GEOMETRY_BYTES
        case GroupNorm():
            return GEOMETRY_BYTES + len(operation.weight) * _FACTOR_BYTES
        case _:
            return 0
