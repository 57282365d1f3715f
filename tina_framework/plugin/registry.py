"""Registries: names of one kind (encoders, architectures, ...) and their targets, which are imported only when used."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tina_framework.errors import ConfigError, DependencyError, PluginError, TinaError, UnknownNameError
from tina_framework.plugin.api_version import import_advice
from tina_framework.plugin.missing_dependency import advice
from tina_framework.plugin.suggest import did_you_mean

__all__ = ["Entry", "Registry"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LAZY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TEXTUAL = re.compile(r"\b(str|Path|PathLike|Any|object)\b")

Hint = Callable[[str, str], str]
"""(kind, name) -> a sentence about plugins that may have provided the name, or an empty string."""


def article(kind: str) -> str:
    """Return the kind with its article: ``encoder`` -> ``an encoder``."""
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


@dataclass(frozen=True)
class Entry:
    """One registered name. `distribution` is None if the running program registered it."""

    name: str
    target: Any
    distribution: str | None

    @property
    def owner(self) -> str:
        """Who registered the name, for messages."""
        return f"'{self.distribution}'" if self.distribution else "this program"


class Registry:
    """Names of one kind. A target is an object, or a string ``"module:attribute"`` that `create` imports.

    Args:
        kind: what is registered here, in the singular: ``encoder``.
        hint: called for an unknown name; returns another sentence for the message.
    """

    def __init__(self, kind: str, *, hint: Hint | None = None) -> None:
        self.kind = kind
        self._hint = hint
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: Any, *, distribution: str | None = None) -> None:
        """Register `target` under `name`.

        Raises:
            PluginError: the name or target is malformed, or the name is taken. The registry is unchanged then.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(
                f"{name!r} cannot name {article(self.kind)}: use lower-case letters, digits, '-', '_' and '.', "
                "beginning with a letter or digit."
            )
        if target is None or (isinstance(target, str) and not _LAZY.fullmatch(target)):
            raise PluginError(
                f"{self.kind.capitalize()} '{name}' has the target {target!r}; give an object or a string 'package.module:attribute'."
            )
        entry = Entry(name, target, distribution)
        taken = self._entries.get(name)
        if taken is not None:
            raise PluginError(self._duplicate(taken, entry))
        self._entries[name] = entry

    def _duplicate(self, taken: Entry, entry: Entry) -> str:
        what = f"{self.kind.capitalize()} '{entry.name}' is registered twice"
        if taken.distribution == entry.distribution:
            return f"{what} by {entry.owner}. Rename one of the two."
        blockable = entry.distribution or taken.distribution
        advice = f"Rename one of the two, or block one: set TINA_DISABLE_PLUGINS={blockable}."
        return f"{what}: by {taken.owner} and by {entry.owner}. {advice}"

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def describe(self) -> list[dict[str, str]]:
        """Return a row per name: ``name``, ``distribution`` (empty: this program), ``target``. Imports nothing."""
        rows = []
        for name in self.names():
            entry = self._entries[name]
            target = entry.target if isinstance(entry.target, str) else _where(entry.target)
            rows.append({"name": name, "distribution": entry.distribution or "", "target": target})
        return rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo every `add` of the block if the block raises."""
        before = dict(self._entries)
        try:
            yield
        except BaseException:
            self._entries = before
            raise

    def entry(self, name: str) -> Entry:
        """Return what is registered under `name` (without an argument).

        Raises:
            UnknownNameError: there is no such name. The message lists the names and suggests the closest.
        """
        if name in self._entries:
            return self._entries[name]
        parts = [f"Unknown {self.kind} '{name}'.{did_you_mean(name, self.names(), fold_case=True)}"]
        parts.append(f"Known: {', '.join(self.names()) or 'none'}.")
        if self._hint is not None:
            parts.append(self._hint(self.kind, name))
        raise UnknownNameError(" ".join(part for part in parts if part))

    def create(self, spec: str, **config: Any) -> Any:
        """Make the object that `spec` names.

        Args:
            spec: ``name`` or ``name:ARGUMENT``; the argument becomes the target's first positional argument.
            config: keyword arguments of the target.

        Returns:
            ``target(ARGUMENT, **config)``, or the target itself if it cannot be called.

        Raises:
            UnknownNameError: there is no such name.
            ConfigError: an argument or setting is missing or unknown.
            PluginError: the target cannot be imported.
            DependencyError: the target needs a module that is not installed.
        """
        name, colon, argument = spec.partition(":")
        entry = self.entry(name)
        target = self._resolve(entry)
        if not callable(target):
            self._check_finished(entry, target, argument if colon else None, config)
            return target
        arguments = (argument,) if colon else ()
        self._check_call(entry, target, arguments, config)
        try:
            return target(*arguments, **config)
        except ImportError as error:  # a target may import an optional module when it is called
            advised = import_advice(error)
            if advised is not None and entry.distribution != "tina-framework":
                raise PluginError(
                    f"{self.kind.capitalize()} '{entry.name}' of {entry.owner} cannot be made: {advised}."
                ) from error
            if not isinstance(error, ModuleNotFoundError):
                raise
            missing = error.name or str(error)
            raise DependencyError(
                f"{self.kind.capitalize()} '{entry.name}' of {entry.owner} needs the module '{missing}', which is not installed; "
                f"{advice(missing, entry.distribution)}."
            ) from error

    def _resolve(self, entry: Entry) -> Any:
        """Return the target, imported if it is a string."""
        if not isinstance(entry.target, str):
            return entry.target
        module_name, _, path = entry.target.partition(":")
        what = f"{self.kind.capitalize()} '{entry.name}' of {entry.owner}"
        try:
            target = importlib.import_module(module_name)
            for attribute in path.split("."):
                target = getattr(target, attribute)
        except ImportError as error:
            advised = import_advice(error)
            if advised is not None and not module_name.startswith("tina_framework."):
                raise PluginError(f"{what} cannot be imported: {advised}.") from error
            if not isinstance(error, ModuleNotFoundError):
                raise PluginError(
                    f"{what} cannot be imported from '{entry.target}' ({error}); check its installation."
                ) from error
            missing = error.name or ""
            if missing.partition(".")[0] == module_name.partition(".")[0]:
                raise PluginError(
                    f"{what} points at '{entry.target}', but there is no module '{missing}'; reinstall it."
                ) from error
            raise DependencyError(
                f"{what} needs the module '{missing}', which is not installed; {advice(missing, entry.distribution)}."
            ) from error
        except TinaError:
            raise
        except Exception as error:
            raise PluginError(
                f"{what} cannot be imported from '{entry.target}' ({error}); check its installation."
            ) from error
        return target

    def _check_finished(self, entry: Entry, target: Any, argument: str | None, config: dict[str, Any]) -> None:
        """Check a target that is not called: it takes no arguments, and its own name must be the registered one."""
        what = f"{self.kind.capitalize()} '{entry.name}'"
        if argument is not None:
            raise ConfigError(f"{what} takes no argument, but got '{argument}'; write just '{entry.name}'.")
        if config:
            raise ConfigError(f"{what} takes no settings, but got {', '.join(sorted(config))}; leave them out.")
        own_name = getattr(target, "name", entry.name)
        if isinstance(own_name, str) and own_name != entry.name:
            raise PluginError(f"{what} of {entry.owner} calls itself '{own_name}'; both names must be the same.")

    def _check_call(self, entry: Entry, target: Any, arguments: tuple[str, ...], config: dict[str, Any]) -> None:
        """Refuse a call that does not fit the signature. So a TypeError of the call itself must come from inside the target."""
        try:
            signature = inspect.signature(target)
        except (TypeError, ValueError):  # some objects written in C have no signature
            return
        what = f"{self.kind.capitalize()} '{entry.name}'"
        parameters = list(signature.parameters.values())
        textual = _argument_parameter(parameters)
        if arguments and textual is None:
            raise ConfigError(f"{what} takes no argument, but got '{arguments[0]}'; write just '{entry.name}'.")
        needs = textual is not None and textual.default is textual.empty and textual.kind is not textual.VAR_POSITIONAL
        missing = not arguments and textual is not None and textual.name not in config
        if needs and textual is not None and (missing or arguments == ("",)):
            raise ConfigError(f"{what} needs an argument: write '{entry.name}:{textual.name.upper()}'.")
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if arguments and textual is not None and textual.name in named:
            named.remove(textual.name)
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        unknown = [] if open_ended else sorted(config.keys() - set(named))
        if unknown:
            suggestion = did_you_mean(unknown[0], named)
            raise ConfigError(
                f"{what} has no setting '{unknown[0]}'.{suggestion} It takes: {', '.join(named) or 'none'}."
            )
        try:
            signature.bind(*arguments, **config)
        except TypeError as error:
            raise ConfigError(
                f"{what} cannot be made: {error}. Settings it takes: {', '.join(named) or 'none'}."
            ) from error


def _argument_parameter(parameters: list[inspect.Parameter]) -> inspect.Parameter | None:
    """Return the parameter that takes ARGUMENT of ``name:ARGUMENT``: the first positional one, if it accepts text."""
    if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        return None
    first = parameters[0]
    if first.annotation is not first.empty:
        annotation = (
            first.annotation if isinstance(first.annotation, str) else inspect.formatannotation(first.annotation)
        )
        return first if _TEXTUAL.search(annotation) else None
    return first if first.default is first.empty or first.default is None or isinstance(first.default, str) else None


def _where(target: Any) -> str:
    """Return ``module:attribute`` of an object, or of its class."""
    owner = target if hasattr(target, "__qualname__") else type(target)
    return f"{owner.__module__}:{owner.__qualname__}"
