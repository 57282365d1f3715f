"""What is derived from an architecture: parameter names, shapes and class axes, and the flat parameter vector.

The flat vector holds the parameters in `named_parameters` order, each in C order. Shapes: B batch, N parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from tina_framework.errors import PluginError
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["ParameterInfo", "ParameterSpec"]


@dataclass(frozen=True)
class ParameterInfo:
    """One tensor of the target network at a certain class count; `class_axis` is None if it is shared."""

    name: str
    shape: tuple[int, ...]
    class_axis: int | None

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def _shapes(architecture: TargetArchitecture, num_classes: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        module = architecture.build(num_classes)
    if not isinstance(module, nn.Module):
        raise PluginError(
            f"Architecture '{architecture.name}' built a {type(module).__name__}; build() must return a torch.nn.Module."
        )
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise PluginError(
            f"Architecture '{architecture.name}' has buffers ({', '.join(buffers[:3])}), such as batch-norm statistics. "
            "Only parameters are generated: use GroupNorm or no normalisation."
        )
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    if len(shapes) != len(dict(module.named_parameters(remove_duplicate=False))):
        raise PluginError(f"Architecture '{architecture.name}' has tied weights; give every use its own parameter.")
    return shapes


class ParameterSpec:
    """Parameter names, shapes and class axes of an architecture, for any class count.

    A class axis is found by comparing two class counts: the one axis of a tensor whose length is the class count.

    Raises:
        PluginError: the architecture cannot be generated (buffers, tied weights, no class axis, two of them).
    """

    def __init__(self, architecture: TargetArchitecture) -> None:
        self.architecture = architecture
        # Two counts that no other dimension is likely to equal.
        few, many = _shapes(architecture, 7), _shapes(architecture, 11)
        if few.keys() != many.keys():
            raise PluginError(
                f"Architecture '{architecture.name}' has other parameters at 7 than at 11 classes; only shapes may differ."
            )
        self.class_axes: dict[str, int | None] = {}
        self._template = few
        for name in few:
            grows = [axis for axis, (a, b) in enumerate(zip(few[name], many[name], strict=True)) if a != b]
            if len(grows) > 1 or (grows and (few[name][grows[0]], many[name][grows[0]]) != (7, 11)):
                raise PluginError(
                    f"Architecture '{architecture.name}', parameter '{name}': shape {few[name]} at 7 classes and {many[name]} at 11. "
                    "Exactly one axis may grow, by one entry a class."
                )
            self.class_axes[name] = grows[0] if grows else None
        if all(axis is None for axis in self.class_axes.values()):
            raise PluginError(
                f"Architecture '{architecture.name}' has no parameter that grows with the class count; build(K) must return K logits."
            )

    @lru_cache(maxsize=64)  # noqa: B019 - specs live as long as the program
    def parameters(self, num_classes: int) -> tuple[ParameterInfo, ...]:
        """All parameters at `num_classes`, in flat-vector order."""
        infos = []
        for name, shape in self._template.items():
            axis = self.class_axes[name]
            full = shape if axis is None else (*shape[:axis], num_classes, *shape[axis + 1 :])
            infos.append(ParameterInfo(name, full, axis))
        return tuple(infos)

    def num_parameters(self, num_classes: int) -> int:
        return sum(info.numel for info in self.parameters(num_classes))

    @lru_cache(maxsize=64)  # noqa: B019
    def flat_class(self, num_classes: int) -> Tensor:
        """(N,) int64: the class slot of each element of the flat vector, -1 if shared."""
        parts = []
        for info in self.parameters(num_classes):
            if info.class_axis is None:
                parts.append(torch.full((info.numel,), -1, dtype=torch.int64))
                continue
            view = [1] * len(info.shape)
            view[info.class_axis] = num_classes
            parts.append(torch.arange(num_classes).view(view).expand(info.shape).reshape(-1))
        return torch.cat(parts)

    def flatten(self, state: Mapping[str, Tensor], num_classes: int) -> Tensor:
        """State dict -> (N,), or with a leading batch axis in every tensor -> (B, N)."""
        parts = []
        for info in self.parameters(num_classes):
            tensor = state[info.name]
            lead = tensor.shape[: tensor.dim() - len(info.shape)]
            if tuple(tensor.shape[len(lead) :]) != info.shape:
                raise ValueError(f"Parameter '{info.name}' has shape {tuple(tensor.shape)}; expected {info.shape}.")
            parts.append(tensor.reshape(*lead, -1))
        return torch.cat(parts, dim=-1)

    def unflatten(self, flat: Tensor, num_classes: int) -> dict[str, Tensor]:
        """(N,) or (B, N) -> tensors of the architecture's shapes (with the batch axis in front, if any). Views."""
        sizes = [info.numel for info in self.parameters(num_classes)]
        if flat.shape[-1] != sum(sizes):
            raise ValueError(f"{flat.shape[-1]} values for {sum(sizes)} parameters at {num_classes} classes.")
        parts = torch.split(flat, sizes, dim=-1)
        infos = self.parameters(num_classes)
        return {
            info.name: part.reshape((*flat.shape[:-1], *info.shape)) for info, part in zip(infos, parts, strict=True)
        }

    def select_classes(self, state: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """The same network with only the given class slots, in the given order. `classes`: (K',) int64."""
        selected = {}
        for name, axis in self.class_axes.items():
            selected[name] = (
                state[name] if axis is None else state[name].index_select(axis, classes.to(state[name].device))
            )
        return selected

    def narrow(self, flat_BN: Tensor, num_classes: int, to_classes: int) -> Tensor:
        """(..., N) at `num_classes` -> (..., N') with only the first `to_classes` slots."""
        if num_classes == to_classes:
            return flat_BN
        return flat_BN[..., (self.flat_class(num_classes) < to_classes).to(flat_BN.device)]

    def widen(self, flat_BN: Tensor, num_classes: int, to_classes: int) -> Tensor:
        """(..., N) at `num_classes` -> (..., N') at `to_classes`, the new slots zero. Inverse of `narrow`."""
        if num_classes == to_classes:
            return flat_BN
        keep = (self.flat_class(to_classes) < num_classes).to(flat_BN.device)
        wide = flat_BN.new_zeros(*flat_BN.shape[:-1], keep.numel())
        wide[..., keep] = flat_BN
        return wide
