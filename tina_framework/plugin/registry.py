"""Registries: names of one kind (encoders, architectures, ...) and their targets, which are imported only when used."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError, DependencyError, PluginError, TinaError, UnknownNameError, shorten
from tina_framework.plugin.api_version import import_advice
from tina_framework.plugin.guard import guarded, leave_out, seconds_to_load, why_stopped
from tina_framework.plugin.missing_dependency import advice
from tina_framework.plugin.suggest import did_you_mean

__all__ = ["BUILT_IN", "STOPPING", "Entry", "Registry", "listed"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LAZY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
STOPPING = (KeyboardInterrupt, MemoryError)
"""Errors that are not the fault of a plugin."""
_TEXTUAL = re.compile(r"\b(str|Path|PathLike|Any|object)\b")

Hint = Callable[[str, str], str]
"""(kind, name) -> a sentence about plugins that may have provided the name, or an empty string."""


Admit = Callable[[str, str, Any], Any]
"""(kind, what it is called in messages, the object) -> the object to use; see `tina_framework.plugin.admission.admit`."""

BUILT_IN = "tina-framework"
"""The distribution whose entries need no checks."""
_MAX_NAME_LENGTH = 100
_MAX_SHOWN = 30
"""Maximum number of names that a message lists."""


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
        admit: checks, and perhaps wraps, what was made of an entry that is not built in.
    """

    def __init__(self, kind: str, *, hint: Hint | None = None, admit: Admit | None = None) -> None:
        self.kind = kind
        self._hint = hint
        self._admit = admit
        self._admitted: dict[str, Any] = {}
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: Any, *, distribution: str | None = None) -> None:
        """Register `target` under `name`.

        Raises:
            PluginError: the name or target is malformed, or the name is taken. The registry is unchanged then.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME_LENGTH:
            raise PluginError(
                f"{shorten(name)} cannot name {article(self.kind)}: use lower-case letters, digits, '-', '_' and '.', "
                f"beginning with a letter or digit, at most {_MAX_NAME_LENGTH} characters."
            )
        self._check_target(name, target)
        entry = Entry(name, target, distribution)
        taken = self._entries.get(name)
        if taken is not None:
            raise PluginError(self._duplicate(taken, entry))
        self._entries[name] = entry

    def _check_target(self, name: str, target: Any) -> None:
        if target is None or (isinstance(target, str) and not _LAZY.fullmatch(target)):
            raise PluginError(
                f"{self.kind.capitalize()} '{name}' has the target {shorten(target)}; give an object or a string 'package.module:attribute'."
            )

    def _duplicate(self, taken: Entry, entry: Entry) -> str:
        what = f"{self.kind.capitalize()} '{entry.name}' is registered twice"
        if taken.distribution == entry.distribution:
            return f"{what} by {entry.owner}. Rename one of the two."
        blockable = entry.distribution or taken.distribution
        advice = f"Rename one of the two, or block one: {leave_out(str(blockable))}."
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
            target = str(entry.target) if isinstance(entry.target, str | Path) else _where(entry.target)
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
        raise self.unknown(name)

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for a name that is not registered. Its message lists the names and suggests the closest."""
        parts = [f"Unknown {self.kind} {shorten(name)}.{did_you_mean(name, self.names(), fold_case=True)}"]
        parts.append(f"Known: {listed(self.names())}.")
        if self._hint is not None:
            parts.append(self._hint(self.kind, name))
        return UnknownNameError(" ".join(part for part in parts if part))

    def target(self, name: str) -> Any:
        """Return what is registered under `name`, imported but not called.

        Raises:
            UnknownNameError, PluginError, DependencyError: as for `create`.
        """
        return self._resolve(self.entry(name))

    def create(self, spec: str, **config: Any) -> Any:
        """Make the object that `spec` names, and check that it keeps the contract of its kind.

        Args:
            spec: ``name`` or ``name:ARGUMENT``; the argument becomes the target's first positional argument.
            config: keyword arguments of the target.

        Returns:
            ``target(ARGUMENT, **config)``, or the target itself if it cannot be called. An object of a plugin may be wrapped in
            one that checks what it returns.

        Raises:
            TinaError: as from `create_unchecked`.
            PluginError: the object breaks the contract.
        """
        made = self.create_unchecked(spec, **config)
        entry = self.entry(spec.partition(":")[0])
        if self._admit is None or entry.distribution == BUILT_IN:
            return made
        # A finished object, such as an architecture, is the same each time. Running it once is enough.
        known = self._admitted.get(entry.name)
        if known is not None and known[0] is made:
            return known[1]
        admitted = self._admit(self.kind, self._what(entry), made)
        if made is entry.target or isinstance(entry.target, str):
            self._admitted[entry.name] = made, admitted
        return admitted

    def create_unchecked(self, spec: str, **config: Any) -> Any:
        """Make the object that `spec` names as the plugin made it, e.g. to examine it.

        Arguments and result are those of `create`.

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
            with self._guard(entry, None):
                return target(*arguments, **config)
        except TinaError:
            raise
        except ImportError as error:  # a target may import an optional module when it is called
            advised = import_advice(error)
            if advised is not None and entry.distribution != BUILT_IN:
                raise PluginError(
                    f"{self.kind.capitalize()} '{entry.name}' of {entry.owner} cannot be made: {advised}."
                ) from error
            if not isinstance(error, ModuleNotFoundError):
                raise self._failed(entry, error) from error
            missing = error.name or str(error)
            raise DependencyError(
                f"{self.kind.capitalize()} '{entry.name}' of {entry.owner} needs the module {shorten(missing)}, which is not installed; "
                f"{advice(missing, entry.distribution)}."
            ) from error
        except STOPPING:
            raise
        except BaseException as error:  # code of a plugin may raise anything
            if entry.distribution == BUILT_IN:
                raise
            raise self._failed(entry, error) from error

    def _failed(self, entry: Entry, error: BaseException) -> PluginError:
        """Return the error for a target that raised something while an object was made."""
        return PluginError(f"{self._what(entry)} cannot be made: {why_stopped(error)}.")

    def _what(self, entry: Entry) -> str:
        return f"{self.kind.capitalize()} '{entry.name}' of {entry.owner}"

    @contextmanager
    def _guard(self, entry: Entry, seconds: float | None) -> Iterator[None]:
        """Keep code of a package from ending the program and from writing into its output."""
        if entry.distribution in (None, BUILT_IN):
            yield
            return
        with guarded(f"Plugin '{entry.distribution}'", leave_out(str(entry.distribution)), seconds):
            yield

    def _resolve(self, entry: Entry) -> Any:
        """Return the target, imported if it is a string."""
        if not isinstance(entry.target, str):
            return entry.target
        module_name, _, path = entry.target.partition(":")
        what = self._what(entry)
        limit = seconds_to_load()
        try:
            with self._guard(entry, limit):
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
                    f"{what} points at '{entry.target}', but there is no module {shorten(missing)}; reinstall it."
                ) from error
            raise DependencyError(
                f"{what} needs the module {shorten(missing)}, which is not installed; {advice(missing, entry.distribution)}."
            ) from error
        except (TinaError, *STOPPING):
            raise
        except BaseException as error:  # code of a plugin may raise anything
            raise PluginError(
                f"{what} cannot be imported from '{entry.target}' ({why_stopped(error)}); check its installation."
            ) from error
        return target

    def _check_finished(self, entry: Entry, target: Any, argument: str | None, config: dict[str, Any]) -> None:
        """Check a target that is not called: it takes no arguments, and its own name must be the registered one."""
        what = f"{self.kind.capitalize()} '{entry.name}'"
        if argument is not None:
            raise ConfigError(f"{what} takes no argument, but got '{argument}'; write just '{entry.name}'.")
        if config:
            raise ConfigError(f"{what} takes no settings, but got {', '.join(sorted(config))}; leave them out.")
        self._check_own_name(entry, target)

    def _check_own_name(self, entry: Entry, target: Any) -> None:
        own_name = getattr(target, "name", entry.name)
        if isinstance(own_name, str) and own_name != entry.name:
            what = f"{self.kind.capitalize()} '{entry.name}'"
            raise PluginError(f"{what} of {entry.owner} calls itself '{own_name}'; both names must be the same.")

    def _check_call(self, entry: Entry, target: Any, arguments: tuple[str, ...], config: dict[str, Any]) -> None:
        """Refuse a call that does not fit the signature. So a TypeError of the call itself must come from inside the target."""
        try:
            signature = inspect.signature(target)
        except Exception:  # some objects written in C have no signature, and an object of a plugin may raise anything
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


def listed(names: Sequence[str]) -> str:
    """Return names for a message: all of them, or the first and how many more there are."""
    more = len(names) - _MAX_SHOWN
    return ", ".join(names[:_MAX_SHOWN]) + (f" and {more:,} more" if more > 0 else "") or "none"


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
    try:
        found = [getattr(target, name, None) for name in ("__module__", "__qualname__")]
    except Exception:  # an object of a plugin may raise anything
        found = []
    if not found or not all(isinstance(part, str) and part.isprintable() for part in found):
        found = [type(target).__module__, type(target).__qualname__]
    return ":".join(map(str, found))
