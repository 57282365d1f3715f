"""The hooks that a plugin may implement, what they receive, and the record that is kept of a plugin.

```python
from tina_framework import hookimpl


@hookimpl
def tina_register(registry):
    registry.architectures.add("resnet-tiny", "tina_resnet.model:resnet_tiny")
```

An entry point in the group ``tina_framework`` names the module, so that it is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import pluggy

from tina_framework.errors import PluginError
from tina_framework.plugin.api_version import import_advice
from tina_framework.plugin.architecture_registry import ArchitectureRegistry
from tina_framework.plugin.folder_registry import FolderRegistry
from tina_framework.plugin.guard import leave_out, why_stopped
from tina_framework.plugin.method_registry import MethodRegistry
from tina_framework.plugin.missing_dependency import advice
from tina_framework.plugin.registry import Admit, Hint, Registry

__all__ = [
    "GROUP",
    "HookSpecs",
    "KindRegistrar",
    "MethodRegistrar",
    "PluginRecord",
    "Registrar",
    "Registries",
    "hookimpl",
    "hookspec",
]

GROUP = "tina_framework"
_MAX_NAMES = 10_000
_FOLDERS = ("generators", "zoos")
"""The kinds whose names stand for folders."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class HookSpecs:
    """The hooks. Mark each implementation with ``@hookimpl``."""

    @hookspec
    def tina_register(self, registry: Registrar) -> None:
        """Add names to the registries: ``registry.encoders.add(name, "module:attribute")``.

        The others are ``registry.architectures``, ``.tokenizers``, ``.schedulers``, ``.datasets``, ``.exporters`` and
        ``.methods``. A target may be a string, which is imported only when the name is used, or an object.
        A method also states what help pages say of it: ``registry.methods.add(name, target, summary="...")``.

        Pretrained folders that a package carries are named as ``registry.generators.add(name, "package:folder/inside")``, and
        zoos as ``registry.zoos.add(...)``. They are read only when the name is used.
        """

    @hookspec
    def tina_commands(self, app: Any) -> None:
        """Add commands to `app`, the `typer.Typer` application of ``tina``. Import heavy packages inside the commands."""


@dataclass(frozen=True)
class Registries:
    """One registry per kind."""

    encoders: Registry
    architectures: ArchitectureRegistry
    tokenizers: Registry
    schedulers: Registry
    datasets: Registry
    exporters: Registry
    methods: MethodRegistry
    generators: FolderRegistry
    zoos: FolderRegistry

    @classmethod
    def empty(cls, hint: Hint | None = None, admit: Admit | None = None) -> Registries:
        """Return empty registries. `hint` and `admit`: see `Registry`."""
        made: dict[str, Any] = {}
        for entry in fields(cls):
            made[entry.name] = _registry_class(entry.name)(entry.name.removesuffix("s"), hint=hint, admit=admit)
        return cls(**made)

    def __iter__(self) -> Iterator[tuple[str, Registry]]:
        """Iterate over pairs such as (``encoders``, registry)."""
        return ((f.name, getattr(self, f.name)) for f in fields(self))


def _registry_class(kind: str) -> type[Registry]:
    if kind in _FOLDERS:
        return FolderRegistry
    return {"architectures": ArchitectureRegistry, "methods": MethodRegistry}.get(kind, Registry)


class KindRegistrar:
    """Add names of one kind on behalf of one plugin, or of the running program if there is no record."""

    def __init__(self, kind: str, registry: Registry, record: PluginRecord | None) -> None:
        self._kind, self._registry, self._record = kind, registry, record

    def add(self, name: str, target: Any) -> None:
        """See `tina_framework.plugin.registry.Registry.add`. A plugin may add 10,000 names of one kind."""
        self._add(name, target)

    def _add(self, name: str, target: Any, **details: Any) -> None:
        if self._record and len(self._record.provides.get(self._kind, [])) >= _MAX_NAMES:
            raise PluginError(
                f"it registers more than {_MAX_NAMES:,} {self._kind}; register one name that takes an argument, NAME:ARGUMENT"
            )
        self._registry.add(name, target, distribution=self._record.distribution if self._record else None, **details)
        if self._record:
            self._record.provides.setdefault(self._kind, []).append(name)


class MethodRegistrar(KindRegistrar):
    """Add evaluation methods, with what help pages say about each."""

    def add(
        self,
        name: str,
        target: Any,
        *,
        summary: str = "",
        argument: str | None = None,
        argument_required: bool = False,
    ) -> None:
        """Add the `Method` class `target`, or a string ``"module:Class"``.

        Args:
            name: how users write it after ``--methods``.
            target: the class.
            summary: what it does, in one line. It must be given.
            argument: how the text behind ``@`` is written, such as ``STEPS``; None: the method takes none.
            argument_required: whether the method cannot do without its argument.
        """
        self._add(name, target, summary=summary, argument=argument, argument_required=argument_required)


class Registrar:
    """What `tina_register` receives: one `KindRegistrar` per kind. The host checks names and conflicts."""

    encoders: KindRegistrar
    architectures: KindRegistrar
    tokenizers: KindRegistrar
    schedulers: KindRegistrar
    datasets: KindRegistrar
    exporters: KindRegistrar
    methods: MethodRegistrar
    generators: KindRegistrar
    zoos: KindRegistrar

    def __init__(self, registries: Registries, record: PluginRecord | None) -> None:
        for kind, registry in registries:
            registrar = MethodRegistrar if kind == "methods" else KindRegistrar
            setattr(self, kind, registrar(kind, registry, record))


@dataclass
class PluginRecord:
    """What is known about one plugin.

    Attributes:
        name: the entry point, or the file given with ``--plugin``.
        distribution: the package to install or to block.
        version: of the distribution; empty if unknown.
        target: what the entry point names.
        status: ``ok``, ``broken`` or ``disabled``.
        provides: kind -> names. For a broken plugin: the names that it added before it failed, which were removed again.
        seconds: spent importing it and running its hook.
        error: why the plugin is broken or disabled; None if it is neither.
        notes: hints for its author, such as: it printed something, it loads slowly, it imports torch.
    """

    name: str
    distribution: str
    version: str
    target: str
    status: str = "ok"
    provides: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The plugin's name in messages."""
        named = f"Plugin '{self.distribution}'"
        return named if self.name == self.distribution else f"{named} ({self.name})"

    @property
    def way_out(self) -> str:
        """The end of a message that says how to leave the plugin out."""
        return leave_out(self.distribution)

    def fail(self, error: BaseException) -> None:
        """Mark the plugin as broken, and record the reason."""
        self.status = "broken"
        advised = import_advice(error)
        if advised is not None:  # it was written for another plugin API
            self.error = advised
            return
        self.error = why_stopped(error)
        if isinstance(error, ModuleNotFoundError) and error.name:
            own = re.split("[.:]", self.target)[0] == error.name.partition(".")[0]
            self.error += "; reinstall it" if own else f"; {advice(error.name, self.distribution)}"
