"""The registry of evaluation methods. It knows how each is written, so that help pages need not import the methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tina_framework.errors import ConfigError, PluginError, shorten
from tina_framework.plugin.registry import Entry, Registry

__all__ = ["MethodEntry", "MethodRegistry"]

_MAX_TEXT = 200


@dataclass(frozen=True)
class MethodEntry(Entry):
    """One registered method.

    Attributes:
        summary: what it does, in one line without a final period.
        argument: how the text behind ``@`` is written, such as ``STEPS``; None: the method takes none.
        argument_required: whether the method cannot do without its argument.
    """

    summary: str = ""
    argument: str | None = None
    argument_required: bool = False

    @property
    def usage(self) -> str:
        """How the method is written after ``--methods``, e.g. ``ridge[@STRENGTH]``."""
        if self.argument is None:
            return self.name
        return f"{self.name}@{self.argument}" if self.argument_required else f"{self.name}[@{self.argument}]"

    def check_argument(self, argument: str | None) -> None:
        """Refuse an argument of a method that takes none, and an empty one.

        Raises:
            ConfigError: the message says how the method is written.
        """
        if argument is not None and self.argument is None:
            raise ConfigError(
                f"Method '{self.name}' takes no argument, but got '@{argument}'; write just '{self.name}'."
            )
        if argument == "":
            bare = "" if self.argument_required else f"'{self.name}' or "
            raise ConfigError(f"Method '{self.name}@' ends in '@'; write {bare}'{self.name}@{self.argument}'.")


class MethodRegistry(Registry):
    """Names of evaluation methods. A target is a `Method` class, or a string ``"module:Class"``."""

    def add(
        self,
        name: str,
        target: Any,
        *,
        distribution: str | None = None,
        summary: str = "",
        argument: str | None = None,
        argument_required: bool = False,
    ) -> None:
        """Register the class `target` under `name`. For the other arguments see `MethodEntry`.

        Raises:
            PluginError: a name, target or text is malformed, the name is taken, or a required argument has no text.
        """
        for what, text in (("summary", summary), ("argument", "" if argument is None else argument or None)):
            if not isinstance(text, str) or not (text == "" or text.isprintable()) or len(text) > _MAX_TEXT:
                raise PluginError(
                    f"Method {shorten(name)} has the {what} {shorten(text)}; give one printable line of at most "
                    f"{_MAX_TEXT} characters."
                )
        if not summary:
            raise PluginError(f'Method {shorten(name)} has no summary; say in one line what it does: summary="...".')
        if argument_required and argument is None:
            raise PluginError(
                f"Method {shorten(name)} needs an argument, but does not say how it is written. "
                'Name it, as in argument="STEPS", or leave out argument_required.'
            )
        super().add(name, target, distribution=distribution)
        required = bool(argument_required)
        self._entries[name] = MethodEntry(name, target, distribution, summary.rstrip("."), argument, required)

    def entry(self, name: str) -> MethodEntry:
        """Return what is registered under `name`.

        Raises:
            UnknownNameError: there is no such name. The message lists the names and suggests the closest.
        """
        found = super().entry(name)
        assert isinstance(found, MethodEntry)
        return found

    def entries(self) -> list[MethodEntry]:
        """Return all entries: the built-in ones first, in the order in which they were registered."""
        return [self.entry(name) for name in self._entries]

    def describe(self) -> list[dict[str, str]]:
        """Return a row per name: as `Registry.describe`, and ``usage`` and ``summary``. Imports nothing."""
        rows = super().describe()
        return [
            row | {"usage": self.entry(row["name"]).usage, "summary": self.entry(row["name"]).summary} for row in rows
        ]

    def method_class(self, name: str) -> Any:
        """Return the class of a method, imported and checked.

        Raises:
            UnknownNameError, PluginError, DependencyError: as for `create`.
        """
        from tina_framework.interfaces.method import Method  # torch is loaded here, not with this module

        entry = self.entry(name)
        found = self.target(name)
        if not (isinstance(found, type) and issubclass(found, Method)):
            raise PluginError(
                f"{self._what(entry)} is {shorten(found)}; register a subclass of tina_framework.interfaces.method.Method."
            )
        self._check_own_name(entry, found)
        return found

    def create(self, spec: str, **config: Any) -> Any:
        """Make the method for one evaluation.

        Args:
            spec: the name.
            config: ``context`` and ``argument``, as for `Method`.

        Raises:
            TinaError: as from `create_unchecked`.
            PluginError: the object breaks the contract.
        """
        self.method_class(spec)
        return super().create(spec, **config)
