"""Prepare a network for 8-bit integers: make the ranges of its channels alike, then round its weights with care.

The libraries that write the formats choose one range for all channels of a tensor and round each weight to its nearest step. In a deep
network of small filters that changes many answers. Two changes that the formats share come first:

1. Between two convolutions without an activation, a channel may be divided by a number in the first and multiplied by it in the
   second (Nagel et al., arXiv 1906.04721, section 4.1). Residual connections join several such layers; they share their numbers.
2. The error of a rounded weight is made up for by the weights of its filter that are rounded later: GPTQ (Frantar et al., arXiv
   2210.17323, algorithm 1). The bias takes up the mean error that is left (arXiv 1906.04721, section 4.2). The weights come out as
   multiples of the step that the libraries choose, so that their own rounding changes nothing.

Only convolutions compute with 8-bit integers, with the additions and activations between them. The rest is small in the networks of
this project, and sensitive: the input, the mean over positions, norms, and the linear layer that writes the logits.

Shapes: M pictures, G groups of a convolution, O outputs of a group, D weights of one output, L positions.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.nn import functional as F

from tina_framework.builtins.exporters.program import exported_program
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportSource, Pixels

__all__ = ["CONVOLUTIONS", "LEVELS", "equalised", "prepared", "rounded", "rounded_weights"]

LEVELS = 127
"""Weights become whole numbers from -LEVELS to LEVELS, times one step for each output channel."""

CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)

_ADD = torch.ops.aten.add.Tensor

# Late layers see few positions of a picture, so their weights need many pictures; memory limits those. 100 of 160x160 take 1.5 GB.
_PIXELS = 2_560_000
_MOST_PICTURES = 512
_ROWS = 20_000

# Added to the diagonal, as a fraction of its mean (section 3.3 of GPTQ).
_DAMPING = 0.01

# How far the ranges of channels are made alike: 0 not at all, 1 entirely. On photographs 0.5 left the smallest error, because weights
# that read a channel grow by the same factor by which it shrinks.
_POWER = 0.5
_SMALLEST = 0.01


def prepared(source: ExportSource) -> ExportSource:
    """Return the source with a network that answers nearly the same, and loses little in 8 bits.

    Args:
        source: with calibration pictures. Its network is not changed.

    Raises:
        ConfigError: the network has no convolution.
    """
    pixels = torch.from_numpy(_some(source))
    return rounded(equalised(source, pixels), pixels)


def _some(source: ExportSource) -> Pixels:
    pictures = source.calibration
    assert pictures is not None
    count = min(max(_PIXELS // (pictures.shape[1] * pictures.shape[2]), 16), _MOST_PICTURES)
    some: Pixels = pictures[_spread(len(pictures), count).numpy()]
    return some


def _spread(total: int, wanted: int) -> Tensor:
    return torch.from_numpy(np.linspace(0, total - 1, min(total, wanted)).astype(np.int64))


def equalised(source: ExportSource, pixels: Tensor) -> ExportSource:
    """Return the source with another network that computes the same, and whose channels between linear layers have similar ranges.

    Args:
        source: the classifier.
        pixels: pictures (M, H, W, 3) that show the ranges.
    """
    graph = _graph(source)
    streams = _streams(graph)
    network = copy.deepcopy(source.network)
    if not streams:
        return replace(source, network=network)
    ranges = _Ranges(graph, {node for stream in streams for node in stream.tensors})
    state = network.state_dict()
    with torch.no_grad():
        ranges.run(pixels)
        for stream in streams:
            largest = torch.stack([ranges.found[node] for node in stream.tensors]).amax(0)
            if not largest.max() > 0:
                continue
            scale = (largest / largest.max()).clamp_min(_SMALLEST) ** _POWER
            for name in stream.written:
                state[name].div_(scale.view(-1, *[1] * (state[name].dim() - 1)))
            for name in stream.read:
                state[name].mul_(scale.view(1, -1, 1, 1))
    return replace(source, network=network)


@dataclass
class _Stream:
    """Tensors that additions join, and the parameters of the convolutions that write and read them."""

    tensors: list[Node] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    usable: bool = True


def _streams(graph: GraphModule) -> list[_Stream]:
    found: list[_Stream] = []
    seen: set[Node] = set()
    for node in graph.graph.nodes:
        if node not in seen and _is_plain(node):
            stream = _stream_of(node, seen)
            if stream.usable and stream.read:
                found.append(stream)
    # A parameter that two layers share cannot follow both.
    return [stream for stream in found if all(_uses(graph, name) == 1 for name in (*stream.written, *stream.read))]


def _stream_of(start: Node, seen: set[Node]) -> _Stream:
    stream = _Stream()
    waiting = [start]
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        stream.tensors.append(tensor)
        if _is_plain(tensor):
            stream.written += [str(argument.target) for argument in tensor.args[1:3] if isinstance(argument, Node)]
        elif tensor.target is _ADD and len(tensor.args) == 2 and all(isinstance(part, Node) for part in tensor.args):
            waiting += [part for part in tensor.args if isinstance(part, Node)]
        else:
            stream.usable = False
            continue
        for user in tensor.users:
            if user.target is _ADD:
                waiting.append(user)
            elif _is_plain(user) and user.args[0] is tensor:
                stream.read.append(str(user.args[1].target))  # type: ignore[union-attr]
            else:
                stream.usable = False
    return stream


def _is_plain(node: Node) -> bool:
    """Whether a node is a convolution in which each output sees all channels, with weights of its own."""
    if node.target not in CONVOLUTIONS or (len(node.args) > 6 and node.args[6] != 1):
        return False
    return all(argument is None or _is_parameter(argument) for argument in node.args[1:3])


def _is_parameter(argument: Any) -> bool:
    return isinstance(argument, Node) and argument.op == "get_attr"


def _uses(graph: GraphModule, name: str) -> int:
    return sum(len(node.users) for node in graph.graph.nodes if node.op == "get_attr" and node.target == name)


class _Ranges(Interpreter):
    """Runs a graph and keeps the largest value of each channel of some tensors (M, C, H, W)."""

    def __init__(self, graph: GraphModule, wanted: set[Node]) -> None:
        super().__init__(graph)
        self.wanted = wanted
        self.found: dict[Node, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted:
            self.found[n] = result.abs().amax((0, 2, 3))
        return result


def rounded(source: ExportSource, pixels: Tensor) -> ExportSource:
    """Return the source with a network whose convolutions hold rounded weights.

    Args:
        source: the classifier.
        pixels: pictures (M, H, W, 3), for which the outputs of each layer should change least.

    Raises:
        ConfigError: the network has no convolution.
    """
    rounding = _Rounding(_graph(source))
    network = copy.deepcopy(source.network)
    with torch.no_grad():
        # The first half goes through the network as it was, the second half through the rounded one.
        rounding.run(torch.cat([pixels, pixels]))
        if not rounding.changed:
            raise ConfigError(
                "This network has no convolution, and only convolutions are computed with 8-bit integers; leave out --int8 "
                "(int8= in Python)."
            )
        state = network.state_dict()
        for name, value in rounding.changed.items():
            state[name].copy_(value)
    return replace(source, network=network)


class _Rounding(Interpreter):
    """Runs a graph layer by layer, and rounds the weights of each convolution for the inputs that reach it."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.changed: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        if n.target not in CONVOLUTIONS or not _is_parameter(n.args[1]) or self._name(n, 1) in self.changed:
            return super().run_node(n)
        (images, weight, *rest), options = self.fetch_args_kwargs_from_env(n)
        convolution: Any = n.target
        exact, changed = images.chunk(2)
        wanted = convolution(exact, weight, *rest, **options)
        products = _products(changed, weight, rest[1:])
        new = rounded_weights(weight.reshape(len(products), -1, products.shape[1]), products).reshape(weight.shape)
        self.changed[self._name(n, 1)] = new
        got = convolution(changed, new, *rest, **options)
        if len(n.args) > 2 and _is_parameter(n.args[2]) and self._name(n, 2) not in self.changed:
            shift = (wanted - got).mean((0, 2, 3))
            self.changed[self._name(n, 2)] = rest[0] + shift
            got = got + shift.view(1, -1, 1, 1)
        return torch.cat([wanted, got])

    @staticmethod
    def _name(node: Node, argument: int) -> str:
        return str(node.args[argument].target)  # type: ignore[union-attr]


def _products(inputs: Tensor, weight: Tensor, rest: list[Any]) -> Tensor:
    """Return H (G, D, D): the products of the inputs that the weights of one output see, summed over pictures and positions.

    Args:
        inputs: (M, C, H, W).
        weight: (G O, C / G, kernel height, kernel width).
        rest: what follows the bias among the arguments of the convolution.
    """
    defaults: list[Any] = [[1, 1], [0, 0], [1, 1], 1]
    stride, padding, dilation, groups = [*rest, *defaults[len(rest) :]]
    size = weight.shape[2:]
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, size, strict=True)]
        inputs = F.pad(inputs, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
        padding = [0, 0]
    if size.numel() == 1 and not any(padding):
        rows = _pixels_of(inputs[:, :, :: stride[0], :: stride[-1]])
    else:
        # Unfolding copies each pixel once for each weight, so fewer pictures are unfolded where they are large.
        positions = inputs.shape[2] * inputs.shape[3] // (stride[0] * stride[-1])
        inputs = inputs[_spread(len(inputs), max(8, _ROWS // max(positions, 1)))]
        columns = F.unfold(inputs, tuple(size), dilation, padding, stride)  # (M, G D, L)
        rows = columns.transpose(1, 2).flatten(0, 1)
        if len(rows) > _ROWS:
            rows = rows[_spread(len(rows), _ROWS)]
    rows = rows.unflatten(1, (groups, -1)).transpose(0, 1)
    products: Tensor = rows.transpose(1, 2) @ rows
    return products


def _pixels_of(images: Tensor) -> Tensor:
    """Return some pixels (rows, C) of images (M, C, H, W), and copy no others: early layers have half a million."""
    place = _spread(len(images) * images[0, 0].numel(), _ROWS)
    height, width = images.shape[2:]
    return images[place // (height * width), :, place // width % height, place % width]


def rounded_weights(weights: Tensor, products: Tensor) -> Tensor:
    """Return weights (G, O, D), rounded to multiples of each output's step, which is its largest weight over `LEVELS`.

    Args:
        weights: (G, O, D).
        products: H (G, D, D).
    """
    diagonal = products.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(1, keepdim=True)
    # Inputs that are always zero say nothing about their weights: those are rounded to the nearest step.
    added = (_DAMPING * mean).expand_as(diagonal) + (diagonal == 0) * (mean + 1)
    # Weights of large inputs come first, while many others are left to make up for them.
    order = diagonal.argsort(dim=1, descending=True)
    damped = (products + torch.diag_embed(added)).double()
    damped = damped.take_along_dim(order[:, :, None], 1).take_along_dim(order[:, None, :], 2)
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True).float()

    left = weights.take_along_dim(order[:, None, :], 2).clone()
    largest, place = left.abs().max(2)
    step = (largest / LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
    # The largest weight keeps its value, because the libraries derive the step from it.
    kept = left.gather(2, place[:, :, None])[:, :, 0].sign() * LEVELS
    result = torch.empty_like(left)
    for number in range(left.shape[2]):
        column = left[:, :, number]
        levels = torch.where(place == number, kept, (column / step).round().clamp(-LEVELS, LEVELS))
        result[:, :, number] = levels * step
        error = (column - result[:, :, number]) / inverse[:, number, number, None]
        left[:, :, number:] -= error[:, :, None] * inverse[:, number, None, number:]
    return result.take_along_dim(order.argsort(1)[:, None, :], 2)


def _graph(source: ExportSource) -> GraphModule:
    graph = exported_program(source).module()
    assert isinstance(graph, GraphModule)
    return graph
