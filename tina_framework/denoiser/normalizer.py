"""Standardised differences from a base network: what the diffusion model sees instead of raw weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors

__all__ = ["Normalizer"]


class Normalizer:
    """Maps parameters to (parameters - base) / scale and back, tensor by tensor.

    The base of a shared tensor is the generic model's; the base of a tensor with a class axis is the mean over the
    generic model's classes, so that zero means "the generic network with the average row" for any class count.
    The scale is one number a tensor: the standard deviation of the difference over a zoo.

    Args:
        spec: the architecture's parameters.
        base: name -> tensor; class axes have length 1.
        scale: name -> positive scalar tensor.
    """

    def __init__(self, spec: ParameterSpec, base: Mapping[str, Tensor], scale: Mapping[str, Tensor]) -> None:
        self.spec = spec
        self.base = {name: base[name].float() for name in spec.class_axes}
        self.scale = {name: scale[name].float() for name in spec.class_axes}

    @classmethod
    def fit(
        cls,
        spec: ParameterSpec,
        base_state: Mapping[str, Tensor],
        states: Iterable[Mapping[str, Tensor]] = (),
        *,
        default_scale: float = 0.1,
        per_tensor: bool = True,
    ) -> Normalizer:
        """Base from `base_state` (a generic network, any class count); scale from `states` (p-Models).

        Tensors with a class axis are scaled by the spread of the base's own rows if there are no states;
        shared tensors then by `default_scale` times their standard deviation. With `per_tensor` off, all tensors get the
        root mean square of these scales, every parameter weighing the same.
        """
        base, squares, count = {}, {}, {}
        for name, axis in spec.class_axes.items():
            tensor = base_state[name].float()
            base[name] = tensor if axis is None else tensor.mean(dim=axis, keepdim=True)
            squares[name] = torch.zeros(())
            count[name] = 0
        for state in states:
            for name in spec.class_axes:
                difference = state[name].float() - base[name]
                squares[name] += difference.square().sum()
                count[name] += difference.numel()
        scale = {}
        for name, axis in spec.class_axes.items():
            if count[name]:
                scale[name] = (squares[name] / count[name]).sqrt()
            elif axis is None:
                scale[name] = default_scale * base[name].std()
            else:
                scale[name] = (base_state[name].float() - base[name]).square().mean().sqrt()
            scale[name] = scale[name].clamp(min=1e-6)
        if not per_tensor:
            sizes = {name: (count[name] or base[name].numel()) for name in scale}
            mean = sum(sizes[name] * scale[name].square() for name in scale) / sum(sizes.values())
            scale = {name: torch.as_tensor(mean).sqrt() for name in scale}
        return cls(spec, base, scale)

    def _expand(self, values: Mapping[str, Tensor], num_classes: int) -> Tensor:
        infos = self.spec.parameters(num_classes)
        return torch.cat([values[info.name].expand(info.shape).reshape(-1) for info in infos])

    def base_flat(self, num_classes: int) -> Tensor:
        """(N,) the base at that class count."""
        return self._expand(self.base, num_classes)

    def scale_flat(self, num_classes: int) -> Tensor:
        """(N,) the scale of each element at that class count."""
        return self._expand(self.scale, num_classes)

    def normalize(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Parameters (..., N) -> standardised differences (..., N)."""
        base, scale = self.base_flat(num_classes), self.scale_flat(num_classes)
        return (flat_BN - base.to(flat_BN)) / scale.to(flat_BN)

    def denormalize(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Inverse of `normalize`."""
        base, scale = self.base_flat(num_classes), self.scale_flat(num_classes)
        return flat_BN * scale.to(flat_BN) + base.to(flat_BN)

    def state_dict(self) -> dict[str, Tensor]:
        """``base.NAME`` and ``scale.NAME`` tensors, for a checkpoint."""
        tensors = {f"base.{name}": tensor for name, tensor in self.base.items()}
        return tensors | {f"scale.{name}": tensor for name, tensor in self.scale.items()}

    @staticmethod
    def shapes(spec: ParameterSpec) -> dict[str, tuple[int, ...]]:
        """Names and shapes of `state_dict`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for info in spec.parameters(1):
            shapes[f"base.{info.name}"] = info.shape
            shapes[f"scale.{info.name}"] = ()
        return shapes

    @classmethod
    def from_tensors(cls, spec: ParameterSpec, tensors: Mapping[str, Tensor]) -> Normalizer:
        """Inverse of `state_dict`.

        Raises:
            CheckpointError: a tensor is missing, extra, misshapen or not finite.
        """
        check_tensors(tensors, cls.shapes(spec), "The checkpoint's normalizer")
        names = list(spec.class_axes)
        return cls(spec, {n: tensors[f"base.{n}"] for n in names}, {n: tensors[f"scale.{n}"] for n in names})
