"""Generic models of several widths: each narrower one starts as the leading slices of the next wider one, and is trained on its own.

So filter j of a narrow network stays a relative of filter j of the wide one. A generator that writes networks of several widths
needs this (docs/experiments/many.md). Sharing the parameters outright (slimmable networks, Yu et al., arXiv 1812.08928) costs too much in networks without
normalisation layers: the how-to of zoos has figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["check_widths", "leading_slices", "narrow_start"]


def check_widths(architecture: TargetArchitecture, widths: Sequence[float]) -> None:
    """Refuse widths of which there can be no generic model.

    Raises:
        ConfigError: the architecture has one width only, or not all of these.
    """
    if widths and architecture.widths is None:
        raise ConfigError(
            f"generic_widths is {', '.join(f'{width:g}' for width in widths)}, but architecture '{architecture.name}' has no widths; "
            "leave it out, or choose an architecture that has widths (tina list architectures)."
        )
    for width in widths:
        architecture.at_width(width)


def leading_slices(state: Mapping[str, Tensor], spec: ParameterSpec, num_classes: int) -> dict[str, Tensor]:
    """Return the parameters of a narrower network of the same family: views of the leading slices.

    Args:
        state: the parameters of the wider network.
        spec: of the narrower network.
        num_classes: of both networks, because the class axis is never cut.
    """
    return {
        info.name: state[info.name][tuple(slice(length) for length in info.shape)]
        for info in spec.parameters(num_classes)
    }


def narrow_start(state: Mapping[str, Tensor], spec: ParameterSpec, num_classes: int) -> dict[str, Tensor]:
    """Return the parameters with which the training of a narrower network starts.

    These are copies of the leading slices. A weight (out, in, ...) that lost inputs is multiplied by the number of inputs before,
    divided by that after, so that activations keep their size.

    Args:
        state: the parameters of the wider network.
        spec: of the narrower network.
        num_classes: of both networks.
    """
    start = {}
    for name, cut in leading_slices(state, spec, num_classes).items():
        lost = cut.dim() > 1 and cut.shape[1] < state[name].shape[1]
        start[name] = cut * (state[name].shape[1] / cut.shape[1]) if lost else cut.clone()
    return start
