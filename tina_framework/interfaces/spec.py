"""The parameters of an architecture: their names, shapes and class axes, and the flat vector that holds them all.

The flat vector holds the parameters in `named_parameters` order, each in C order. Shapes: B batch, N parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tina_framework.errors import ConfigError, PluginError, TinaError, reason_of
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.constant_tables import ConstantTables

__all__ = ["ParameterInfo", "ParameterSpec"]


@dataclass(frozen=True)
class ParameterInfo:
    """One tensor of the target network at a certain class count. `class_axis` is None if all classes share it."""

    name: str
    shape: tuple[int, ...]
    class_axis: int | None

    @property
    def numel(self) -> int:
        """Return the number of its elements."""
        return math.prod(self.shape)


def _shapes(architecture: TargetArchitecture, num_classes: int) -> dict[str, tuple[int, ...]]:
    what = f"Architecture '{architecture.name}'"
    try:
        with torch.device("meta"):
            module = architecture.build(num_classes)
    except (TinaError, MemoryError):
        raise
    except Exception as error:  # code of a plugin may raise anything
        raise PluginError(
            f"{what} cannot be built for {num_classes} classes on the meta device, where shapes are read ({reason_of(error)}). "
            "Let build(K) work for every K, and let it make layers without moving them or reading their values."
        ) from error
    if not isinstance(module, nn.Module):
        raise PluginError(f"{what} built {_kind_of(module)}; build() must return a torch.nn.Module.")
    _check_parameters(what, module)
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise PluginError(
            f"{what} has buffers ({', '.join(buffers[:3])}), such as batch-norm statistics. "
            "Only parameters are generated: use GroupNorm or no normalisation."
        )
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def _check_parameters(what: str, module: nn.Module) -> None:
    """Refuse parameters that cannot be generated: their number, type or place is not fixed, or two of them are one."""
    uses: dict[object, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        its = f"{what}: its parameter '{name}'"
        # Buffers are checked, too: a lazy layer has both until it has seen a first input.
        if is_lazy(parameter):
            raise PluginError(
                f"{its} belongs to a lazy layer, whose shape is not known before the first input. "
                "Give the layer its input width: nn.Linear(64, K) instead of nn.LazyLinear(K)."
            )
        if parameter.dtype == torch.get_default_dtype() != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise ConfigError(
                f"The default type of torch is {kind}, but generated parameters are float32; call "
                "torch.set_default_dtype(torch.float32)."
            )
        if parameter.dtype != torch.float32:
            advice = (
                "Drop .half(), .double() and dtype=; " if parameter.dtype.is_floating_point else "Make it a constant; "
            )
            raise PluginError(
                f"{its} is {parameter.dtype}. {advice}generated parameters are float32.".replace("torch.", "")
            )
        if parameter.device.type not in ("meta", "cpu"):
            raise PluginError(
                f"{its} is put on the device '{parameter.device}'. Leave .to(), .cuda() and device= out of build(): the "
                "framework moves networks to the device that the user chose."
            )
        if parameter.layout is not torch.strided:
            raise PluginError(f"{its} is sparse ({parameter.layout}). Make it an ordinary dense parameter.")
        if not parameter.requires_grad:
            raise PluginError(
                f"{its} is frozen (requires_grad=False), but every parameter is trained and generated. Train it, or "
                "put the frozen part into a FrozenTrunk."
            )
        # Two views of one memory would be one parameter in training, but two in what is generated.
        place = parameter.untyped_storage()._cdata, parameter.storage_offset()
        if place in uses and parameter.numel():
            raise PluginError(
                f"{what} has tied weights: '{uses[place]}' and '{name}' are one tensor. Give every use its own parameter."
            )
        uses[place] = name


def _kind_of(thing: object) -> str:
    """Describe what was returned, for messages: ``a dict``, ``the class Linear``."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"


def _fits_into(shapes: Mapping[str, tuple[int, ...]], wider: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether the tensors have the shapes of leading slices of wider ones."""
    if shapes.keys() != wider.keys():
        return False
    pairs = [(shape, wider[name]) for name, shape in shapes.items()]
    return all(len(one) == len(other) and all(a <= b for a, b in zip(one, other, strict=True)) for one, other in pairs)


class ParameterSpec:
    """Parameter names, shapes and class axes of an architecture, for any class count.

    The class axis of a tensor is the axis whose length is the class count. Building the network at two counts shows it.

    Args:
        architecture: the architecture.
        relative: the parameters of a wider network of the same family, whose descriptors stand for this one's; see
            `tina_framework.interfaces.layers`. None: it has descriptors of its own.

    Raises:
        PluginError: the architecture cannot be generated: it has buffers, tied weights, lazy layers, parameters that are not
            float32 or are frozen, no class axis or two of them.
        ConfigError: the default type of torch is not float32, or the relative has other tensors or is narrower.
    """

    def __init__(self, architecture: TargetArchitecture, relative: ParameterSpec | None = None) -> None:
        self.architecture = architecture
        self.relative = relative
        self._tables = ConstantTables()
        # Two primes, which other dimensions of a network are unlikely to equal.
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
        if relative is not None and not _fits_into(few, relative._template):
            raise ConfigError(
                f"Architecture '{architecture.name}' cannot be written as '{relative.architecture.name}', because its tensors are not "
                "leading slices of that network's; name a wider network of its family."
            )
        if all(axis is None for axis in self.class_axes.values()):
            has = "no parameter" if not few else "no parameter that grows with the class count"
            raise PluginError(f"Architecture '{architecture.name}' has {has}; build(K) must return K logits.")

    @property
    def is_head(self) -> bool:
        """Whether the network is a head on a frozen trunk: all of its parameters belong to one class or another."""
        return self.architecture.trunk is not None and None not in self.class_axes.values()

    def parameters(self, num_classes: int) -> tuple[ParameterInfo, ...]:
        """Return all parameters at `num_classes`, in the order of the flat vector."""
        return self._tables.get(("parameters", num_classes), lambda: self._parameters(num_classes))

    def _parameters(self, num_classes: int) -> tuple[ParameterInfo, ...]:
        infos = []
        for name, shape in self._template.items():
            axis = self.class_axes[name]
            full = shape if axis is None else (*shape[:axis], num_classes, *shape[axis + 1 :])
            infos.append(ParameterInfo(name, full, axis))
        return tuple(infos)

    def _sizes(self, num_classes: int) -> list[int]:
        """Return the number of elements of each parameter."""
        return self._tables.get(("sizes", num_classes), lambda: [info.numel for info in self.parameters(num_classes)])

    @property
    def class_size(self) -> int:
        """Return C, the number of parameters of each class."""
        return self.num_parameters(2) - self.num_parameters(1)

    def num_parameters(self, num_classes: int) -> int:
        """Return N, the length of the flat vector at `num_classes`."""
        return sum(self._sizes(num_classes))

    def flat_class(self, num_classes: int) -> Tensor:
        """Return (N,) int64: the class index 0..K-1 of each element of the flat vector, -1 if all classes share it.

        It is a new tensor on the CPU, which the caller may change.
        """
        return self._flat_class(num_classes).clone()

    def _flat_class(self, num_classes: int) -> Tensor:
        return self._tables.get(("flat_class", num_classes), lambda: self._make_flat_class(num_classes))

    def _make_flat_class(self, num_classes: int) -> Tensor:
        parts = []
        for info in self.parameters(num_classes):
            if info.class_axis is None:
                parts.append(torch.full((info.numel,), -1, dtype=torch.int64, device="cpu"))
                continue
            view = [1] * len(info.shape)
            view[info.class_axis] = num_classes
            classes = torch.arange(num_classes, device="cpu")
            parts.append(classes.view(view).expand(info.shape).reshape(-1))
        return torch.cat(parts)

    def _below(self, num_classes: int, limit: int, device: torch.device) -> Tensor:
        """Return the places (N',) in the flat vector of what all classes share and of the class slots below `limit`."""

        def make() -> Tensor:
            return torch.nonzero(self._flat_class(num_classes) < limit).squeeze(1).to(device)

        return self._tables.get(("below", num_classes, limit, device), make)

    def _selection(self, num_classes: int, selected: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `select_flat` needs for the (N',) elements of the result at `selected` classes.

        Returns:
            start: the place in the flat vector at `num_classes` of an element, if its class were slot 0.
            step: how far apart the places of neighbouring class slots are; 0 for what all classes share.
            slot: the class slot in the result; 0 for what all classes share.
        """

        def make() -> tuple[Tensor, Tensor, Tensor]:
            starts, steps, offset = [], [], 0
            for info, result in zip(self.parameters(num_classes), self.parameters(selected), strict=True):
                places = torch.arange(info.numel, device="cpu").view(info.shape) + offset
                step = 0
                if info.class_axis is not None:
                    step = math.prod(info.shape[info.class_axis + 1 :])
                    places = places.narrow(info.class_axis, 0, 1).expand(result.shape)
                starts.append(places.reshape(-1))
                steps.append(torch.full((result.numel,), step, dtype=torch.int64, device="cpu"))
                offset += info.numel
            slot = self._flat_class(selected).clamp(min=0)
            return torch.cat(starts).to(device), torch.cat(steps).to(device), slot.to(device)

        return self._tables.get(("selection", num_classes, selected, device), make)

    def template(self, num_classes: int) -> nn.Module:
        """Return the network at `num_classes` on the meta device. It is always the same object: copy it before changing it."""

        def make() -> nn.Module:
            with torch.device("meta"):
                return self.architecture.build(num_classes)

        return self._tables.get(("template", num_classes), make)

    def flatten(self, state: Mapping[str, Tensor], num_classes: int) -> Tensor:
        """Turn a state dict into (N,), or into (B, N) if every tensor has a leading batch axis."""
        parts = []
        for info in self.parameters(num_classes):
            tensor = state[info.name]
            lead = tensor.shape[: tensor.dim() - len(info.shape)]
            if tuple(tensor.shape[len(lead) :]) != info.shape:
                raise ValueError(f"Parameter '{info.name}' has shape {tuple(tensor.shape)}; expected {info.shape}.")
            parts.append(tensor.reshape(*lead, -1))
        return torch.cat(parts, dim=-1)

    def unflatten(self, flat: Tensor, num_classes: int) -> dict[str, Tensor]:
        """Turn (N,) or (B, N) into views of the architecture's shapes, with the batch axis in front if there is one."""
        sizes = self._sizes(num_classes)
        if flat.shape[-1] != sum(sizes):
            raise ValueError(f"{flat.shape[-1]} values for {sum(sizes)} parameters at {num_classes} classes.")
        parts = torch.split(flat, sizes, dim=-1)
        infos = self.parameters(num_classes)
        return {
            info.name: part.reshape((*flat.shape[:-1], *info.shape)) for info, part in zip(infos, parts, strict=True)
        }

    def select_classes(self, state: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Return the parameters with only the rows of some classes, in the order asked for.

        Args:
            state: parameter name -> tensor, without a batch axis.
            classes: (K',) int64 class indices to keep. Tensors that all classes share are returned unchanged.
        """
        selected = {}
        for name, axis in self.class_axes.items():
            selected[name] = (
                state[name] if axis is None else state[name].index_select(axis, classes.to(state[name].device))
            )
        return selected

    def select_flat(self, flat_BN: Tensor, num_classes: int, classes_BK: Tensor) -> Tensor:
        """Do what `select_classes` does with flat vectors, each of which may select other classes, in one gather.

        Args:
            flat_BN: (B, N) at `num_classes`.
            num_classes: K.
            classes_BK: (B, K') int64 class indices to keep, in the order asked for.

        Returns:
            (B, N') at K' classes.
        """
        if flat_BN.shape[-1] != self.num_parameters(num_classes):
            raise ValueError(
                f"{flat_BN.shape[-1]} values for {self.num_parameters(num_classes)} parameters at {num_classes} classes."
            )
        start_N, step_N, slot_N = self._selection(num_classes, classes_BK.shape[1], flat_BN.device)
        return flat_BN.gather(1, start_N + step_N * classes_BK.to(flat_BN.device)[:, slot_N])

    def narrow(self, flat_BN: Tensor, num_classes: int, to_classes: int) -> Tensor:
        """Keep only the first `to_classes` class slots: (..., N) at `num_classes` to (..., N')."""
        if num_classes == to_classes:
            return flat_BN
        return flat_BN.index_select(-1, self._below(num_classes, to_classes, flat_BN.device))

    def widen(self, flat_BN: Tensor, num_classes: int, to_classes: int) -> Tensor:
        """Add class slots of zeros: (..., N) at `num_classes` to (..., N') at `to_classes`. The inverse of `narrow`."""
        if num_classes == to_classes:
            return flat_BN
        wide = flat_BN.new_zeros(*flat_BN.shape[:-1], self.num_parameters(to_classes))
        return wide.index_copy_(-1, self._below(to_classes, num_classes, flat_BN.device), flat_BN)
