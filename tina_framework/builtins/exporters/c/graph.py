"""Read a network as the operations of `operations`, through the graph that `torch.export` traces.

The reader looks at operations of ATen only, so it reads any architecture that is made of the few that are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

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
    Shape,
)
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportNetwork

__all__ = ["read_network"]

_PASSED_ON = {"clone", "detach", "alias", "_to_copy", "lift_fresh_copy", "contiguous", "dropout"}
"""Operations that change no number."""

_RESHAPED = {"view", "reshape", "flatten", "_unsafe_view", "squeeze", "unsqueeze"}


def read_network(network: ExportNetwork, input_shape: Shape) -> Network:
    """Return the operations of a classifier, from standardised picture to logits.

    Args:
        network: the classifier, in evaluation mode.
        input_shape: (C, H, W) of a standardised picture.

    Raises:
        ConfigError: it has a frozen trunk, or an operation that this format does not know. The message names it.
    """
    if network.trunk is not None:
        raise ConfigError(
            f"Format 'c' cannot hold the frozen network '{type(network.trunk).__name__}' in front of this classifier; it is made for "
            "small networks without one. Export to onnx or executorch instead."
        )
    inner = network.network
    program = torch.export.export(inner, (torch.zeros(1, *input_shape),)).run_decompositions()
    reader = _Reader(type(inner).__name__, input_shape)
    names = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target is not None}
    state = {**program.state_dict, **program.constants}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            reader.known[node] = state[names[node.name]].detach() if node.name in names else 0
        elif node.op == "call_function":
            reader.read(node)
        elif node.op == "output":
            return reader.network(node.args[0][0])
    raise AssertionError("A graph has an output.")


class _Reader:
    """Reads one node after the other.

    Attributes:
        known: node -> its value: a number of `Network`, or a constant tensor.
    """

    def __init__(self, name: str, input_shape: Shape) -> None:
        self.known: dict[fx.Node, int | Tensor] = {}
        self._name = name
        self._operations: list[Operation] = []
        self._shapes = [input_shape]
        self._read_once: list[bool] = [False]

    def network(self, output: fx.Node) -> Network:
        """Return what was read."""
        value = self.known[output]
        if isinstance(value, Tensor) or self._shapes[value][1:] != (1, 1):
            raise self._refusal(f"logits of the shape {tuple(output.meta['val'].shape)}")
        return Network(tuple(self._operations), tuple(self._shapes), value)

    def read(self, node: fx.Node) -> None:
        """Read a node that calls a function.

        Raises:
            ConfigError: the format does not know the function, or not with these arguments.
        """
        name = _name_of(node)
        if name == "_assert_tensor_metadata":
            return
        if all(isinstance(self.known[other], Tensor) for other in node.all_input_nodes):
            # Weights only, such as a transposed matrix: computed once, here.
            self.known[node] = _computed(node, self.known)
            return
        if name in _PASSED_ON or name in _RESHAPED:
            self._pass_on(node, name)
            return
        handler: Callable[[fx.Node], None] | None = getattr(self, f"_read_{name}", None)
        if handler is None:
            raise self._refusal(f"the operation '{name}'")
        handler(node)

    def _read_getitem(self, node: fx.Node) -> None:
        if node.args[1] != 0:
            raise self._refusal(f"the second result of '{_name_of(_node(node.args[0]))}'")
        self._pass_on(node, "getitem")

    def _read_convolution(self, node: fx.Node) -> None:
        image, weight, bias, stride, padding, dilation, transposed, _, groups = _arguments(node, 9)
        if transposed or any(step != 1 for step in dilation) or len(stride) != 2:
            raise self._refusal("a transposed, dilated or one-dimensional convolution")
        kernel = self._constant(weight, node)
        offset = np.zeros(len(kernel)) if bias is None else self._constant(bias, node)
        self._add(node, Convolution(self._value(image), kernel, offset, tuple(stride), tuple(padding), groups))

    def _read_addmm(self, node: fx.Node) -> None:
        bias, features, weight = _arguments(node, 3)
        if node.kwargs:
            raise self._refusal("the operation 'addmm' with factors")
        self._linear(node, features, weight, self._constant(bias, node))

    def _read_mm(self, node: fx.Node) -> None:
        features, weight = _arguments(node, 2)
        self._linear(node, features, weight, None)

    def _linear(self, node: fx.Node, features: fx.Node, weight: fx.Node, bias: Floats | None) -> None:
        value = self._value(features)
        matrix = self._constant(weight, node).T
        channels, height, width = self._shapes[value]
        # A flattened value keeps its shape here, and the rows of the matrix take that shape. So no value is ever reordered.
        kernel = np.ascontiguousarray(matrix).reshape(len(matrix), channels, height, width)
        self._add(node, Convolution(value, kernel, np.zeros(len(matrix)) if bias is None else bias))

    def _read_native_group_norm(self, node: fx.Node) -> None:
        image, weight, bias, _, channels, _, groups, eps = _arguments(node, 8)
        scale = np.ones(channels) if weight is None else self._constant(weight, node)
        offset = np.zeros(channels) if bias is None else self._constant(bias, node)
        self._add(node, GroupNorm(self._value(image), groups, scale, offset, float(eps)))

    def _read_avg_pool2d(self, node: fx.Node) -> None:
        image, kernel, stride, padding, ceil, counted, divisor = _arguments(node, 7, ([], [0, 0], False, True, None))
        kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
        if ceil or divisor is not None or (padding != (0, 0) and not counted):
            raise self._refusal("an average pool with ceil_mode, divisor_override or without counting the padding")
        self._add(node, Pool(self._value(image), "mean", kernel, stride, padding))

    def _read_max_pool2d_with_indices(self, node: fx.Node) -> None:
        image, kernel, stride, padding, dilation, ceil = _arguments(node, 6, ([], [0, 0], [1, 1], False))
        if ceil or _pair(dilation) != (1, 1):
            raise self._refusal("a maximum pool with ceil_mode or dilation")
        kernel = _pair(kernel)
        self._add(node, Pool(self._value(image), "max", kernel, _pair(stride or kernel), _pair(padding)))

    def _read__adaptive_avg_pool2d(self, node: fx.Node) -> None:
        image, size = _arguments(node, 2)
        value = self._value(image)
        _, height, width = self._shapes[value]
        if height % size[0] or width % size[1]:
            raise self._refusal("an adaptive pool whose windows differ in size")
        kernel = (height // size[0], width // size[1])
        self._add(node, Pool(value, "mean", kernel, kernel))

    def _read_mean(self, node: fx.Node) -> None:
        self._global_mean(node, is_sum=False)

    def _read_sum(self, node: fx.Node) -> None:
        self._global_mean(node, is_sum=True)

    def _global_mean(self, node: fx.Node, is_sum: bool) -> None:
        image, dims = _arguments(node, 2)
        value = self._value(image)
        rank = len(_node(image).meta["val"].shape)
        if rank != 4 or sorted(dim % rank for dim in dims) != [2, 3]:
            raise self._refusal(f"the operation '{_name_of(node)}' over other axes than height and width")
        kernel = self._shapes[value][1:]
        self._add(node, Pool(value, "mean", kernel, kernel, factor=float(math.prod(kernel)) if is_sum else 1.0))

    def _read_relu(self, node: fx.Node) -> None:
        self._bound(node, (0.0, math.inf))

    def _read_hardtanh(self, node: fx.Node) -> None:
        _, low, high = _arguments(node, 3, (-1.0, 1.0))
        self._bound(node, (float(low), float(high)))

    def _read_clamp(self, node: fx.Node) -> None:
        low, high = (*node.args[1:], None, None)[:2]
        low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
        self._bound(node, (-math.inf if low is None else float(low), math.inf if high is None else float(high)))  # type: ignore[arg-type]

    def _bound(self, node: fx.Node, bounds: Bounds) -> None:
        value = self._value(node.args[0])
        last = self._operations[value - 1] if value else None
        # A maximum keeps the integers of its input, so bounds need an operation of their own.
        if last is None or not self._read_once[value] or (isinstance(last, Pool) and last.kind == "max"):
            self._add(node, Clamp(value, bounds))
            return
        low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in last.bounds)
        self._replace(value, replace(last, bounds=(low, high)), node)

    def _read_add(self, node: fx.Node) -> None:
        left, right = (self._value(side) for side in _arguments(node, 2))
        if node.kwargs or self._shapes[left] != self._shapes[right]:
            raise self._refusal("a sum of values of different shapes, or with a factor")
        self._add(node, Add(left, right))

    def _read_mul(self, node: fx.Node) -> None:
        self._scale(node, lambda factor: factor)

    def _read_div(self, node: fx.Node) -> None:
        self._scale(node, lambda divisor: 1.0 / divisor)

    def _scale(self, node: fx.Node, factor_of: Callable[[float], float]) -> None:
        """Multiply the operation before by a positive number."""
        image, number = _arguments(node, 2)
        value = self._value(image)
        known = self.known[number] if isinstance(number, fx.Node) else float(number)
        if isinstance(known, Tensor) and known.numel() == 1:
            known = float(known)
        if not isinstance(known, float):
            raise self._refusal(f"the operation '{_name_of(node)}' of two values")
        last = self._operations[value - 1] if value else None
        if known <= 0 or not self._read_once[value] or not isinstance(last, Convolution | Pool):
            raise self._refusal(f"the operation '{_name_of(node)}' with {known:g} at this place")
        factor = factor_of(known)
        bounds = (last.bounds[0] * factor, last.bounds[1] * factor)
        scaled: Operation
        if isinstance(last, Convolution):
            scaled = replace(last, weight=last.weight * factor, bias=last.bias * factor, bounds=bounds)
        elif last.kind == "mean":
            scaled = replace(last, factor=last.factor * factor, bounds=bounds)
        else:
            raise self._refusal(f"the operation '{_name_of(node)}' after a maximum")
        self._replace(value, scaled, node)

    def _pass_on(self, node: fx.Node, name: str) -> None:
        value = self._value(node.args[0])
        if name in _RESHAPED and not _same_order(self._shapes[value], tuple(node.meta["val"].shape)):
            raise self._refusal(f"the operation '{name}' to the shape {tuple(node.meta['val'].shape)}")
        self.known[node] = value
        self._read_once[value] &= _readers(node) == 1

    def _add(self, node: fx.Node, operation: Operation) -> None:
        result = node.meta["val"]
        shape = tuple((result[0] if isinstance(result, Sequence) else result).shape)[1:]
        self._operations.append(operation)
        self._shapes.append((*shape, 1, 1)[:3])  # type: ignore[arg-type]
        self._read_once.append(_readers(node) == 1)
        self.known[node] = len(self._operations)

    def _replace(self, value: int, operation: Operation, node: fx.Node) -> None:
        self._operations[value - 1] = operation
        self._read_once[value] = _readers(node) == 1
        self.known[node] = value

    def _value(self, node: Any) -> int:
        value = self.known.get(node) if isinstance(node, fx.Node) else None
        if not isinstance(value, int):
            raise self._refusal("an operation whose first argument is a weight")
        return value

    def _constant(self, node: Any, reader: fx.Node) -> Floats:
        value = self.known[node]
        if not isinstance(value, Tensor):
            raise self._refusal(f"the operation '{_name_of(reader)}' of two values")
        array: Floats = value.detach().double().numpy()
        return array

    def _refusal(self, what: str) -> ConfigError:
        return ConfigError(
            f"Format 'c' cannot hold the network '{self._name}': it does not know {what}. Export to onnx or executorch instead."
        )


def _name_of(node: fx.Node) -> str:
    """Return the name of a node's function without overload: ``convolution``."""
    target = node.target
    name = target._schema.name.rpartition("::")[2] if isinstance(target, torch._ops.OpOverload) else target.__name__  # type: ignore[union-attr]
    return str(name)


def _node(argument: Any) -> fx.Node:
    assert isinstance(argument, fx.Node)
    return argument


def _arguments(node: fx.Node, count: int, defaults: tuple[Any, ...] = ()) -> list[Any]:
    """Return the first `count` arguments. `defaults` are those of the last ones, which may be missing."""
    given = list(node.args[:count])
    return given + list(defaults[len(defaults) - (count - len(given)) :] if len(given) < count else [])


def _pair(value: Any) -> tuple[int, int]:
    numbers = [value] if isinstance(value, int) else list(value)
    return int(numbers[0]), int(numbers[-1])


def _readers(node: fx.Node) -> int:
    return sum(_name_of(user) != "_assert_tensor_metadata" if user.op == "call_function" else 1 for user in node.users)


def _same_order(shape: Shape, reshaped: tuple[int, ...]) -> bool:
    """Return whether (1, ...) is the value of the shape (C, H, W) itself, or flattened."""
    return reshaped in {(1, *shape), (1, math.prod(shape))}


def _computed(node: fx.Node, known: dict[fx.Node, int | Tensor]) -> Tensor:
    arguments = fx.node.map_arg(node.args, lambda other: known[other])
    options = fx.node.map_arg(node.kwargs, lambda other: known[other])
    assert callable(node.target)
    with torch.no_grad():
        result: Tensor = node.target(*arguments, **options)
    return result
