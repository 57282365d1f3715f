"""Play a CUDA device on a machine without one, to find what would cross between host and device, or fail there.

`PlayedDevice` runs the real code and computes real values. All tensors stay in the memory of the host, but each one has a mark: on the
host, or on the played device. `tensor.device` returns the mark, so code that asks for the device takes its GPU path.

- A factory function with ``device=`` of the played device, ``.to(device)``, ``.cuda()`` and ``.cpu()`` set the mark.
- The result of an operation is on the device if one of its arguments is.
- An operation on tensors of both places raises `MixedDevices`, as CUDA does. A CPU tensor without axes is allowed.
- Every crossing is logged: uploads, downloads, and operations for which the host would have to wait.

What it cannot show: speed, memory, rounding of GPU kernels, and operations that CUDA lacks.

Marks are kept on storages, so views and the tensors that autograd keeps have them, too. `torch.func.vmap` works, because a dispatch
mode sees the plain tensors below it. Modes belong to one thread; tensors that other threads make count as tensors of the host.
"""

from __future__ import annotations

import contextlib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Crossing", "MixedDevices", "PlayedDevice"]

DEVICE = torch.device("cuda", 0)
_HOST = torch.device("cpu")
_PACKAGE = Path(__file__).resolve().parent.parent / "tina_framework"
_TESTS = Path(__file__).resolve().parent

# For these the host needs a value of the device, so it waits.
_SYNCS = {
    "aten::nonzero": "nonzero",
    "aten::masked_select": "masked_select",
    "aten::_unique2": "unique",
    "aten::unique_dim": "unique",
    "aten::unique_consecutive": "unique",
    "aten::equal": "equal",
    "aten::bincount": "bincount",
    "aten::repeat_interleave.Tensor": "repeat_interleave without output_size",
}
# These take tensors of both places by contract, and the first one decides.
# Functions of `torch.cuda` that ask for a device which is not there.
_ABOUT_THE_DEVICE = ("synchronize", "reset_peak_memory_stats", "memory_allocated", "max_memory_allocated")
_COPIES = {"aten::copy_", "aten::_copy_from"}
_INDEXING = {"aten::index.Tensor", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_", "aten::_unsafe_index.Tensor"}  # fmt: skip


class MixedDevices(RuntimeError):
    """An operation got tensors of the host and of the device, which CUDA refuses."""


@dataclass(frozen=True)
class Crossing:
    """One crossing between host and device.

    Attributes:
        kind: ``upload``, ``download`` or ``sync`` (the host waits for a number that decides what comes next).
        what: the operation.
        where: file and line of the package that caused it.
        numel: number of elements.
    """

    kind: str
    what: str
    where: str
    numel: int


@dataclass
class PlayedDevice:
    """A context in which `DEVICE` is a device of this machine.

    Attributes:
        crossings: what has crossed so far.
        operations: number of operations that torch dispatched, of host and device.
        device_operations: how many of them ran on the device, which are about as many kernels. Views count, too.
    """

    crossings: list[Crossing] = field(default_factory=list)
    operations: int = 0
    device_operations: int = 0
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    device = DEVICE

    def __enter__(self) -> PlayedDevice:
        self._stack.enter_context(_OnFunctions(self))
        self._stack.enter_context(_OnDispatch(self))
        for patch in _patches():
            self._stack.enter_context(patch)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def log(self, kind: str, what: str, numel: int) -> None:
        """Record a crossing of the line of the package that is running."""
        self.crossings.append(Crossing(kind, what, _caller(), numel))

    @contextlib.contextmanager
    def watching(self) -> Iterator[PlayedDevice]:
        """Count from zero in this context. The counts are read from the object that is returned."""
        kept = self.crossings, self.operations, self.device_operations
        self.crossings, self.operations, self.device_operations = [], 0, 0
        seen = PlayedDevice()
        try:
            yield seen
        finally:
            seen.crossings, seen.operations = self.crossings, self.operations
            seen.device_operations = self.device_operations
            self.crossings, self.operations, self.device_operations = (
                kept[0] + seen.crossings, kept[1] + seen.operations, kept[2] + seen.device_operations,
            )  # fmt: skip

    def table(self) -> str:
        """Return the crossings as text, one line for each place in the code."""
        counts = Counter((c.kind, c.what, c.where) for c in self.crossings)
        return "\n".join(
            f"{number:4d} x {kind:8s} {what:28s} {where}" for (kind, what, where), number in counts.items()
        )


def on_device(tensor: Tensor) -> bool:
    """Return whether a tensor is marked as one of the played device."""
    return getattr(_storage(tensor), "_played", False)


def _storage(tensor: Tensor) -> Any:
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    try:
        # Without the modes: the getter of a storage asks for the device, which the mode answers.
        with torch._C.DisableTorchFunction():
            return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):  # sparse tensors have no storage
        return None


def _mark(tensor: Tensor, place: bool) -> None:
    storage = _storage(tensor)
    if storage is not None and not tensor.is_meta:
        storage._played = place


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _is_played(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _caller() -> str:
    """Return the innermost line of the package, or else of the tests."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    for root in (_PACKAGE, _TESTS):
        for frame in reversed(frames):
            if Path(frame.filename).is_relative_to(root):
                return f"{Path(frame.filename).relative_to(root)}:{frame.lineno} {frame.name}"
    return "?"


class _OnDispatch(TorchDispatchMode):
    """Check the places of all arguments, log what makes the host wait, and mark the results."""

    def __init__(self, played: PlayedDevice) -> None:
        super().__init__()
        self.played = played

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        played, name = self.played, func.name()
        played.operations += 1
        inputs = [tensor for tensor in _tensors((args, kwargs)) if not tensor.is_meta]
        there = any(map(on_device, inputs))
        if there and name in _COPIES:
            self._copy(*args[:2])
            return func(*args, **kwargs)
        if there:
            played.device_operations += 1
            self._check(func, name, args, kwargs, inputs)
        result = func(*args, **kwargs)
        known = {id(_storage(tensor)) for tensor in inputs}
        for tensor in _tensors(result):
            # A view or an output that was given keeps its mark. Fresh memory gets one also on the host: it may have been used before.
            if id(_storage(tensor)) not in known:
                _mark(tensor, there)
        return result

    def _copy(self, target: Tensor, source: Tensor) -> None:
        to, of = on_device(target), on_device(source)
        if to != of:
            self.played.log("upload" if to else "download", "copy_", source.numel())

    def _check(self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[Tensor]) -> None:
        played = self.played
        if name == "aten::_local_scalar_dense":
            played.log("download", "item", 1)
        elif name in _SYNCS:
            played.log("sync", _SYNCS[name], inputs[0].numel())
        if name in _INDEXING:
            inputs = self._check_indices(name, args, inputs)
        takes_lists = any(isinstance(value, list | tuple) and _tensors(value) for value in args)
        strict = takes_lists and name not in _INDEXING
        host = [t for t in inputs if not on_device(t) and (strict or t.dim() > 0)]
        # Of tensors without axes alone, CUDA takes those of the device and of the host together.
        if host and name != "aten::lift_fresh":
            raise MixedDevices(
                f"{name} mixes tensors of the device with tensors of the host, of shapes {[tuple(t.shape) for t in host]}, "
                f"at {_caller()}"
            )

    def _check_indices(self, name: str, args: Any, inputs: list[Tensor]) -> list[Tensor]:
        """Return the arguments without the indices, which may be on the host: CUDA uploads them silently."""
        target, indices = args[0], [index for index in args[1] if index is not None]
        if not on_device(target) and any(map(on_device, indices)):
            raise MixedDevices(f"{name} looks up places of the device in a tensor of the host, at {_caller()}")
        # Writing one value where a mask is true is a masked fill, which needs no count.
        fills = name.startswith("aten::index_put") and args[2].numel() == 1
        for index in indices:
            if not on_device(index):
                self.played.log("upload", "index of the host", index.numel())
            if index.dtype in (torch.bool, torch.uint8) and not fills:
                self.played.log("sync", "boolean mask", index.numel())
        return [tensor for tensor in inputs if not any(tensor is index for index in indices)]


class _OnFunctions(TorchFunctionMode):
    """Answer questions about the device, and move tensors between the places."""

    def __init__(self, played: PlayedDevice) -> None:
        super().__init__()
        self.played = played

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__" and args and isinstance(args[0], Tensor):
            return self._get(func, args, kwargs)
        if name in _MOVES and args and isinstance(args[0], Tensor):
            return _MOVES[name](self, func, *args, **kwargs)
        if kwargs.get("pin_memory"):  # a machine without a GPU cannot
            kwargs["pin_memory"] = False
        if "device" in kwargs and kwargs["device"] is not None:
            return self._make(func, name, args, kwargs)
        return func(*args, **kwargs)

    def _get(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        attribute = getattr(func.__self__, "__name__", "")
        if attribute in ("device", "is_cuda", "is_cpu"):
            with torch._C.DisableTorchFunction():
                real = args[0].device
            place = DEVICE if real.type == "cpu" and on_device(args[0]) else real
            return {"device": place, "is_cuda": place == DEVICE, "is_cpu": place.type == "cpu"}[attribute]
        return func(*args, **kwargs)

    def _make(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function that makes a tensor on a device: a factory, or a conversion of values."""
        played = _is_played(kwargs["device"])
        if played:
            kwargs["device"] = _HOST
        if torch.device(kwargs["device"]).type != "cpu":
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        if name in ("tensor", "as_tensor", "asarray", "scalar_tensor"):
            given = _tensors(args)
            # `as_tensor` returns the tensor itself where nothing has to be converted.
            if played and not any(map(on_device, given)):
                self.played.log("upload", name, result.numel())
                result = result.clone() if given else result
            elif not played and any(map(on_device, given)):
                self.played.log("download", name, result.numel())
                result = result.clone()
        for tensor in _tensors(result):
            _mark(tensor, played)
        return result

    def move(self, tensor: Tensor, there: bool, what: str) -> Tensor:
        """Return a tensor at the other place, and log the crossing. The tensor itself if it is at that place."""
        if on_device(tensor) == there or tensor.is_meta:
            return tensor
        self.played.log("upload" if there else "download", what, tensor.numel())
        moved = _Move.apply(tensor, there)
        assert isinstance(moved, Tensor)
        return moved

    def to(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        values, device, dtype = list(args), kwargs.pop("device", None), None
        if values and isinstance(values[0], Tensor):
            other = values.pop(0)
            # Its type is given too: `x.to(other)` takes both.
            device, dtype = DEVICE if on_device(other) else _HOST, other.dtype
        elif values and isinstance(values[0], str | torch.device):
            device = values.pop(0)
        elif values and values[0] is None:
            values.pop(0)
        other = kwargs.pop("other", None)
        if other is not None:
            device, dtype = DEVICE if on_device(other) else _HOST, other.dtype
        if dtype is not None:
            kwargs.setdefault("dtype", dtype)
        if device is None or torch.device(device).type not in ("cpu", DEVICE.type):
            return func(tensor, *args, **kwargs) if device is None else func(tensor, device, *values, **kwargs)
        moved = self.move(tensor, _is_played(device), "to")
        rest = bool(values) or any(kwargs.get(name) is not None for name in ("dtype", "copy", "memory_format"))
        return func(moved, _HOST, *values, **kwargs) if rest else moved

    def cuda(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.move(tensor, True, "cuda")

    def cpu(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.move(tensor, False, "cpu")

    def tolist(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if on_device(tensor):
            self.played.log("download", "tolist", tensor.numel())
        return func(tensor, *args, **kwargs)

    def numpy(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if on_device(tensor):
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy, at {_caller()}")
        return func(tensor, *args, **kwargs)

    def pin_memory(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if on_device(tensor):
            raise RuntimeError("only dense CPU tensors can be pinned")
        return tensor

    def new_tensor(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        there = on_device(tensor) if kwargs.get("device") is None else _is_played(kwargs["device"])
        made = func(tensor, *args, **{**kwargs, "device": _HOST})
        if there:
            self.played.log("upload", "new_tensor", made.numel())
        _mark(made, there)
        assert isinstance(made, Tensor)
        return made

    def deepcopy(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        copied = func(tensor, *args, **kwargs)  # copies memory without an operation
        _mark(copied, on_device(tensor))
        return copied


_MOVES: Mapping[str, Callable[..., Any]] = {
    "to": _OnFunctions.to,
    "cuda": _OnFunctions.cuda,
    "cpu": _OnFunctions.cpu,
    "tolist": _OnFunctions.tolist,
    "numpy": _OnFunctions.numpy,
    "__array__": _OnFunctions.numpy,
    "pin_memory": _OnFunctions.pin_memory,
    "new_tensor": _OnFunctions.new_tensor,
    "__deepcopy__": _OnFunctions.deepcopy,
}


class _Move(torch.autograd.Function):
    """A copy with the other mark, whose gradient goes back to where the tensor was."""

    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: Tensor, there: bool) -> Tensor:
        copied = tensor.clone()
        _mark(copied, there)
        return copied

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.there = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        copied = gradients[0].clone()
        _mark(copied, not ctx.there)
        return copied, None


def _patches() -> list[Any]:
    """Replace what asks the C++ side of torch for a device, which knows nothing of the played one."""
    group = torch._C._group_tensors_by_device_and_dtype

    def grouped(lists: Any, with_indices: bool = False) -> Any:
        groups = group(lists, with_indices)
        return {
            (DEVICE if any(on_device(t) for t in tensors[0] if t is not None) else device, dtype): (tensors, indices)
            for (device, dtype), (tensors, indices) in groups.items()
        }

    start = torch.autocast.__init__

    def autocast(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        start(self, "cpu" if device_type == DEVICE.type else device_type, *args, **kwargs)

    states: dict[Any, Tensor] = {}
    return [
        mock.patch.object(torch.autocast, "__init__", autocast),
        mock.patch.object(torch._C, "_group_tensors_by_device_and_dtype", grouped),
        # The random numbers of the device are those of the host, which is saved anyway.
        mock.patch.object(torch.cuda, "get_rng_state", lambda device=None: states.setdefault(device, torch.zeros(16))),
        mock.patch.object(torch.cuda, "set_rng_state", return_value=None),
        *(mock.patch.object(torch.cuda, name, return_value=0) for name in _ABOUT_THE_DEVICE),
        mock.patch.object(torch.cuda, "get_device_name", return_value="played device"),
    ]
