"""The layers of an architecture, described by numbers: what kind each is, how deep it lies and how large it is.

A generator for several architectures reads these descriptions in place of learnt positions. They are derived from the network on
the meta device, so the author of an architecture declares nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["DESCRIPTOR_SIZE", "KINDS", "TensorRole", "class_row_descriptor", "describe_tensors", "descriptor"]

KINDS = ("conv", "depthwise", "pointwise", "linear", "norm", "bias", "class-row")
"""What a tensor may be. ``class-row`` is every tensor that grows with the number of classes."""

_LAYERS = "Conv1d, Conv2d, Conv3d, Linear, GroupNorm, LayerNorm, RMSNorm, PReLU"
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU)
_MOST_DEPTH = 8
"""Depths are told apart up to here, from both ends. Beyond it, only the fraction tells them apart."""

_SIZE_SCALE = 3.0
"""How far apart sizes are: at 3, tokens whose outputs and inputs both differ by a quarter have half of their features in common."""

_INDEX_WAVES = 24
_FRACTION_WAVES = 6
_INDEX_PERIOD = 128.0
"""Filters that lie this far apart have the same slowest wave."""

DESCRIPTOR_SIZE = len(KINDS) + 2 * _MOST_DEPTH + 1 + 5 + 2 * _INDEX_WAVES + 2 * _FRACTION_WAVES + 2
"""Length of a descriptor."""


@dataclass(frozen=True)
class TensorRole:
    """What a tensor does in its network.

    Attributes:
        name: of the parameter.
        kind: one of `KINDS`.
        depth: number of its layer, counted from the input, from 0.
        num_layers: number of layers of the network, without the one that gives the logits.
        outputs: output channels, which are the filters of the tensor. 1 for norms and biases.
        inputs: inputs of each filter, kernel positions included.
        kernel: kernel positions of a convolution, else 1.
        stride: the product of the strides of a convolution, else 1.
        groups: groups of a convolution, else 1.
        relative: the same tensor of a wider network of the family, whose description stands for this one's; None: its own.
    """

    name: str
    kind: str
    depth: int
    num_layers: int
    outputs: int
    inputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    relative: TensorRole | None = None


def describe_tensors(spec: ParameterSpec) -> list[TensorRole]:
    """Return the role of each tensor that all classes share, in the order of the flat vector.

    Raises:
        ConfigError: a tensor belongs to a layer of a kind that has no description.
    """
    module = spec.template(2)
    owners = {
        f"{prefix}.{name}" if prefix else name: (prefix, layer)
        for prefix, layer in module.named_modules()
        for name, _ in layer.named_parameters(recurse=False)
    }
    shared = [info for info in spec.parameters(2) if info.class_axis is None]
    layers = list(dict.fromkeys(owners[info.name][0] for info in shared))
    roles = []
    for info in shared:
        prefix, layer = owners[info.name]
        place = (layers.index(prefix), len(layers))
        kind = _kind(info.name.rpartition(".")[2], layer)
        if kind is None:
            raise ConfigError(
                f"Architecture '{spec.architecture.name}': the parameter '{info.name}' belongs to a {type(layer).__name__}, which "
                f"has no descriptor, so a generator for several architectures cannot write it. Possible layers: {_LAYERS}."
            )
        if kind in ("norm", "bias"):
            roles.append(TensorRole(info.name, kind, *place, outputs=1, inputs=info.numel))
            continue
        outputs, inputs = info.shape[0], info.numel // info.shape[0]
        if isinstance(layer, _CONVOLUTIONS):
            kernel, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
            roles.append(TensorRole(info.name, kind, *place, outputs, inputs, kernel, stride, layer.groups))
        else:
            roles.append(TensorRole(info.name, kind, *place, outputs, inputs))
    if spec.relative is None:
        return roles
    relatives = {role.name: role for role in describe_tensors(spec.relative)}
    return [replace(role, relative=relatives[role.name]) for role in roles]


def _kind(own_name: str, layer: nn.Module) -> str | None:
    """Return the kind of a tensor; None if its layer has no description."""
    if isinstance(layer, _NORMS):
        return "bias" if own_name == "bias" else "norm"
    if isinstance(layer, (*_CONVOLUTIONS, nn.Linear)) and own_name == "bias":
        return "bias"
    if isinstance(layer, nn.Linear) and own_name == "weight":
        return "linear"
    if isinstance(layer, _CONVOLUTIONS) and own_name == "weight":
        if layer.groups > 1 and layer.groups == layer.in_channels:
            return "depthwise"
        return "pointwise" if math.prod(layer.kernel_size) == 1 else "conv"
    return None


def descriptor(role: TensorRole, filter_index: int, part: int = 0, parts: int = 1) -> Tensor:
    """Describe one token of a tensor.

    Args:
        role: of the tensor.
        filter_index: which filter the token holds, from 0.
        part: which part of the filter, if it is too wide for one token.
        parts: number of these parts.

    Returns:
        (`DESCRIPTOR_SIZE`,) float32: the kind, the depth from both ends and as a fraction, logarithms of the sizes, the index of the
        filter as sines and cosines, the same of its fraction, and the part. The index counts most: the first filters of a wide
        network are those of a narrow one of its family.
    """
    role = role if role.relative is None else role.relative
    kind = torch.zeros(len(KINDS))
    kind[KINDS.index(role.kind)] = 1.0
    depth = torch.zeros(2, _MOST_DEPTH)
    depth[0, min(role.depth, _MOST_DEPTH - 1)] = 1.0
    depth[1, min(max(role.num_layers - 1 - role.depth, 0), _MOST_DEPTH - 1)] = 1.0
    # Large, so that networks of different sizes share little. Small changes of one network help another one only if both
    # compute alike, and networks of half the width do not (docs/experiments/many.md).
    sizes = _SIZE_SCALE * torch.tensor([role.outputs, role.inputs, role.kernel, role.stride, role.groups]).float().log()
    fraction = torch.tensor([role.depth / max(1, role.num_layers)])
    index = _waves(2 * math.pi * filter_index / _INDEX_PERIOD, _INDEX_WAVES, 64.0)
    share = 0.1 * _waves(2 * math.pi * filter_index / role.outputs, _FRACTION_WAVES, 8.0)
    place = torch.tensor([part / parts, math.log(parts)])
    return torch.cat([kind, depth.flatten(), fraction, sizes, index, share, place])


def class_row_descriptor(spec: ParameterSpec, row_width: int) -> Tensor:
    """Describe the token of a class: (`DESCRIPTOR_SIZE`,). It is the same for every class, so their order has no influence.

    Args:
        spec: the architecture's parameters.
        row_width: number of parameters of a class.
    """
    if spec.relative is not None:
        return class_row_descriptor(spec.relative, spec.relative.class_size)
    layers = max((role.num_layers for role in describe_tensors(spec)), default=0)
    return descriptor(TensorRole("", "class-row", layers, layers, outputs=1, inputs=row_width), 0)


def _waves(angle: float, count: int, greatest: float) -> Tensor:
    """Return sines and cosines (2 * count,) of an angle times factors from 1 to `greatest`."""
    factors = torch.exp(torch.linspace(0.0, math.log(greatest), count))
    return torch.cat([torch.sin(angle * factors), torch.cos(angle * factors)])
