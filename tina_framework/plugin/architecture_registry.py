"""The registry of target architectures. Behind a name may stand a width, as in ``cnn-2layer@1.5``."""

from __future__ import annotations

import math
from typing import Any

from tina_framework.errors import ConfigError, PluginError, UnknownNameError, shorten
from tina_framework.plugin.registry import BUILT_IN, Entry, Registry

__all__ = ["ArchitectureRegistry", "split_width"]


class ArchitectureRegistry(Registry):
    """Names of architectures. Each name of a family stands for networks of every width: ``cnn-2layer@1.5``.

    An argument stays at the end: ``name@1.5:ARGUMENT``. Whether an architecture has a width shows only when it is made, so `entry`
    and `in` accept any number.
    """

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self.entry(name)
        except ConfigError:
            return False
        return True

    def entry(self, name: str) -> Entry:
        """Return what is registered under `name` (without an argument), whatever the width behind it.

        Raises:
            UnknownNameError: there is no such name. The message lists the names and suggests the closest.
            ConfigError: what stands behind ``@`` is no number.
        """
        plain, _ = split_width(name)
        return super().entry(plain)

    def create(self, spec: str, **config: Any) -> Any:
        """Make the architecture that `spec` names, and check that it keeps the contract.

        Args:
            spec: ``name``, ``name@WIDTH``, ``name:ARGUMENT`` or ``name@WIDTH:ARGUMENT``.
            config: keyword arguments of the target.

        Returns:
            a `TargetArchitecture`, of the width if one is given.

        Raises:
            TinaError: as from `create_unchecked`.
            PluginError: the object breaks the contract.
        """
        plain, width = split_width(spec)
        made = super().create(plain, **config)
        if width is None:
            return made
        wide = _at_width(made, width, spec)
        entry = self.entry(plain.partition(":")[0])
        if self._admit is None or wide == made or entry.distribution == BUILT_IN:
            return wide
        known = self._admitted.get(wide.name)
        if known is not None and known[0] == wide:
            return known[1]
        admitted = self._admit(self.kind, self._what(entry), wide)
        self._admitted[wide.name] = wide, admitted
        return admitted

    def create_unchecked(self, spec: str, **config: Any) -> Any:
        """Make the architecture that `spec` names as the plugin made it. Arguments and result are those of `create`.

        Raises:
            UnknownNameError: there is no such name.
            ConfigError: the width is no number or none that the architecture has, or as for `Registry.create_unchecked`.
            PluginError, DependencyError: as for `Registry.create_unchecked`.
        """
        plain, width = split_width(spec)
        made = super().create_unchecked(plain, **config)
        return made if width is None else _at_width(made, width, spec)

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for a name that is not registered, with or without a width."""
        return super().unknown(name.partition("@")[0])


def split_width(spec: str) -> tuple[str, float | None]:
    """Split ``name@1.5:ARGUMENT`` into ``name:ARGUMENT`` and the width. None: no width is given.

    Raises:
        ConfigError: the width is no number.
    """
    named, colon, argument = spec.partition(":")
    name, at, width = named.partition("@")
    if not at:
        return spec, None
    try:
        number = math.nan if "_" in width else float(width)  # Python reads 1_5 as 15
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f"{shorten(named)} has the width {shorten(width)}, which is no number; write one behind '@', "
            f"as in {shorten(f'{name}@1.5')}."
        )
    return name + colon + argument, number


def _at_width(made: Any, width: float, spec: str) -> Any:
    from tina_framework.interfaces.architecture import TargetArchitecture  # torch is loaded here, not with this module

    if not isinstance(made, TargetArchitecture):
        raise PluginError(f"{shorten(spec)} names {shorten(made)}; register a TargetArchitecture.")
    return made.at_width(width)
