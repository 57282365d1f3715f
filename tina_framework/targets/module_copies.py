"""Copy a module that holds no values, and give the copy parameters. This is much faster than building the module anew."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["copy_with_parameters"]

# Types whose values cannot change, so that copies may share them.
_CONSTANT = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.Size, torch.device})


def copy_with_parameters(template: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return what `copy.deepcopy` returns, but with other parameters.

    Args:
        template: a module, which may be on the meta device. It is not changed.
        state: one tensor for each parameter, of its shape. They become the parameters, without being copied.

    Raises:
        ValueError: names or shapes do not fit.
    """
    expected = {name: parameter.shape for name, parameter in template.named_parameters()}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise ValueError(
            f"The tensors {sorted(state)} do not fit the parameters {sorted(expected)}, or their shapes do not."
        )
    memo: dict[int, Any] = {
        id(parameter): nn.Parameter(state[name], requires_grad=parameter.requires_grad)
        for name, parameter in template.named_parameters()
    }
    copied: nn.Module = _copy_module(template, memo)
    return copied


def _copy_module(module: nn.Module, memo: dict[int, Any]) -> Any:
    if id(module) in memo:
        return memo[id(module)]
    kind: Any = type(module)
    if not _is_ordinary(kind) or "_compiled_call_impl" in module.__dict__:
        return copy.deepcopy(module, memo)
    copied: Any = kind.__new__(kind)
    memo[id(module)] = copied
    values = copied.__dict__
    for name, value in module.__dict__.items():
        if type(value) in _CONSTANT:
            values[name] = value
        elif type(value) in (dict, OrderedDict, set, list) and not value:
            values[name] = type(value)()
        elif name == "_parameters":
            values[name] = {key: memo.get(id(parameter)) for key, parameter in value.items()}
        elif name == "_modules":
            values[name] = {key: child if child is None else _copy_module(child, memo) for key, child in value.items()}
        elif type(value) is tuple and all(type(entry) in _CONSTANT for entry in value):
            values[name] = value
        else:
            values[name] = copy.deepcopy(value, memo)
    return copied


@lru_cache(maxsize=256)
def _is_ordinary(kind: type[nn.Module]) -> bool:
    """Whether `copy.deepcopy` would copy the attributes of such a module one by one, and do nothing else."""
    own = (getattr(kind, "__deepcopy__", None), kind.__reduce_ex__, kind.__reduce__, kind.__new__, kind.__getstate__)
    usual = (None, object.__reduce_ex__, object.__reduce__, object.__new__, nn.Module.__getstate__)
    # Layers of torch restore settings that old files lack, which a copy in memory has.
    return own == usual and kind.__setstate__.__module__.startswith("torch.nn.modules.")
