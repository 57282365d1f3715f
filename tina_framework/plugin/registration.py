"""Register by decorator, in scripts, notebooks and files given with ``--plugin``; and list what is registered.

Installed plugins use the hook `tina_register` instead (see `tina_framework.plugin.hookspecs`), which keeps start-up fast.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tina_framework.plugin.discovery import register, registries
from tina_framework.plugin.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture

__all__ = [
    "list_architectures",
    "list_datasets",
    "list_encoders",
    "list_exporters",
    "list_generators",
    "list_methods",
    "list_schedulers",
    "list_tokenizers",
    "list_zoos",
    "register_architecture",
    "register_dataset",
    "register_encoder",
    "register_exporter",
    "register_method",
    "register_scheduler",
    "register_tokenizer",
]

Target = TypeVar("Target", bound=Callable[..., object])


def _decorator(kind: str, name: str, **details: object) -> Callable[[Target], Target]:
    def add(target: Target) -> Target:
        register(kind, name, target, **details)
        return target

    return add


def register_encoder(name: str) -> Callable[[Target], Target]:
    """Register a class or function that makes an `Encoder`. It is called with the ARGUMENT of ``name:ARGUMENT``, if any."""
    return _decorator("encoders", name)


def register_tokenizer(name: str) -> Callable[[Target], Target]:
    """Register a class or function that makes a `ParameterTokenizer` from keyword arguments (its `config`)."""
    return _decorator("tokenizers", name)


def register_scheduler(name: str) -> Callable[[Target], Target]:
    """Register a class or function that makes a `NoiseScheduler` from keyword arguments (its `config`)."""
    return _decorator("schedulers", name)


def register_dataset(name: str) -> Callable[[Target], Target]:
    """Register a class or function that makes a `Dataset`. It is called with the ARGUMENT of ``name:ARGUMENT``, if any."""
    return _decorator("datasets", name)


def register_exporter(name: str) -> Callable[[Target], Target]:
    """Register a class or function that makes an `Exporter`. It is called without arguments."""
    return _decorator("exporters", name)


def register_method(
    name: str, *, summary: str, argument: str | None = None, argument_required: bool = False
) -> Callable[[Target], Target]:
    """Register a subclass of `Method`, which `tina evaluate --methods NAME` and `tina bench` then run.

    Args:
        name: the registry name, which is also the class's `name`.
        summary: what it does, in one line, for help pages.
        argument: how the text behind ``@`` is written, such as ``STEPS``; None: the method takes none.
        argument_required: whether the method cannot do without its argument.
    """
    return _decorator("methods", name, summary=summary, argument=argument, argument_required=argument_required)


def register_architecture(
    name: str,
    *,
    input_shape: tuple[int, int, int] = (3, 32, 32),
    mean: tuple[float, ...] = (0.5, 0.5, 0.5),
    std: tuple[float, ...] = (0.5, 0.5, 0.5),
    trunk: FrozenTrunk | None = None,
    crop_pct: float = 1.0,
    widths: tuple[float, float] | None = None,
) -> Callable[[Callable[[int], nn.Module]], TargetArchitecture]:
    """Register a function (or class) num_classes -> `torch.nn.Module` as a `TargetArchitecture`, which replaces it.

    Args:
        name: the registry name.
        input_shape: (C, H, W) of one image.
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel.
        trunk: a frozen network in front of the module; the module takes its features.
        crop_pct: the part of a picture's sides that the network sees; see `TargetArchitecture`.
        widths: the least and the greatest width, if the function also takes the keyword ``width``; see `TargetArchitecture`.

    Raises:
        PluginError: the network cannot be generated (buffers, tied weights, no class axis) or does not return logits, or the
            name is taken.
    """

    def add(build: Callable[[int], nn.Module]) -> TargetArchitecture:
        from tina_framework.interfaces.architecture import TargetArchitecture
        from tina_framework.interfaces.spec import ParameterSpec
        from tina_framework.interfaces.trial import try_network

        architecture = TargetArchitecture(name, build, input_shape, mean, std, trunk, crop_pct, widths)
        try_network(ParameterSpec(architecture))  # raises if the network cannot be generated
        for width in architecture.widths or ():
            try_network(ParameterSpec(architecture.at_width(width)))
        register("architectures", name, architecture)
        return architecture

    return add


def _matching(registry: Registry, pattern: str) -> list[str]:
    return fnmatch.filter(registry.names(), pattern)


def list_encoders(pattern: str = "*") -> list[str]:
    """Return the names of all encoders that match a shell pattern, such as ``"clip-*"``."""
    return _matching(registries().encoders, pattern)


def list_architectures(pattern: str = "*") -> list[str]:
    """Return the names of all target architectures that match a shell pattern."""
    return _matching(registries().architectures, pattern)


def list_tokenizers(pattern: str = "*") -> list[str]:
    """Return the names of all parameter tokenizers that match a shell pattern."""
    return _matching(registries().tokenizers, pattern)


def list_schedulers(pattern: str = "*") -> list[str]:
    """Return the names of all noise schedulers that match a shell pattern."""
    return _matching(registries().schedulers, pattern)


def list_datasets(pattern: str = "*") -> list[str]:
    """Return the names of all data sets that match a shell pattern."""
    return _matching(registries().datasets, pattern)


def list_exporters(pattern: str = "*") -> list[str]:
    """Return the names of all export formats that match a shell pattern."""
    return _matching(registries().exporters, pattern)


def list_methods(pattern: str = "*") -> list[str]:
    """Return the names of all evaluation methods that match a shell pattern."""
    return _matching(registries().methods, pattern)


def list_generators(pattern: str = "*") -> list[str]:
    """Return the names of all pretrained generators that match a shell pattern."""
    return _matching(registries().generators, pattern)


def list_zoos(pattern: str = "*") -> list[str]:
    """Return the names of all zoos that installed packages carry and that match a shell pattern."""
    return _matching(registries().zoos, pattern)
