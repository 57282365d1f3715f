"""Find and load plugins, and record how each one loaded. Nothing here imports torch.

A plugin is a distribution with an entry point in the group ``tina_framework``. The entry point names a module (or object) with
hook implementations; see `tina_framework.plugin.hookspecs`. The built-ins are a plugin too, that of this distribution.

Environment variables:

- ``TINA_DISABLE_PLUGINS``: comma-separated names of distributions or entry points that are not loaded.
- ``TINA_ALLOW_PLUGINS``: if set, only these and the built-ins are loaded.
- ``TINA_STRICT_PLUGINS=1``: a broken plugin raises an error; otherwise it is recorded as broken, and the others are used.
- ``TINA_PLUGIN_TIMEOUT``: how many seconds a plugin may take to load (default 60; 0: no limit).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pluggy

from tina_framework.errors import ConfigError, PluginError, shorten
from tina_framework.plugin.admission import admit
from tina_framework.plugin.api_version import check_api
from tina_framework.plugin.entry_points import DISTRIBUTION, find_plugins, normal_name
from tina_framework.plugin.guard import guarded, seconds_to_load, why_stopped
from tina_framework.plugin.hookspecs import GROUP, HookSpecs, PluginRecord, Registrar, Registries
from tina_framework.plugin.load_report import noted_in

__all__ = [
    "PluginRecord",
    "Registries",
    "command_hooks",
    "load_plugin_file",
    "plugin_records",
    "register",
    "registries",
]

log = logging.getLogger("tina_framework.plugins")


class _Host:
    """Everything that is loaded: the registries, the plugin manager, and one record per plugin."""

    def __init__(self) -> None:
        self.registries = Registries.empty(self._hint, admit)
        self.records: list[PluginRecord] = []
        self.loading: PluginRecord | None = None
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(HookSpecs)
        self._plugins: list[tuple[PluginRecord, Any]] = []

    def load_all(self) -> None:
        blocked, allowed = _names("TINA_DISABLE_PLUGINS"), _names("TINA_ALLOW_PLUGINS")
        strict = os.environ.get("TINA_STRICT_PLUGINS", "") not in ("", "0")
        for found in find_plugins():
            record = PluginRecord(found.name, found.distribution, found.version, found.target, notes=list(found.notes))
            self.records.append(record)
            names = {normal_name(found.name), found.distribution}
            if blocked & names:
                record.status, record.error = "disabled", "disabled by TINA_DISABLE_PLUGINS"
                continue
            if "TINA_ALLOW_PLUGINS" in os.environ and found.distribution != DISTRIBUTION and not allowed & names:
                record.status, record.error = "disabled", "not among TINA_ALLOW_PLUGINS"
                continue
            try:
                self.load(record, partial(_import, found.target, found.problem))
            except PluginError as error:
                if strict:
                    raise
                log.warning("%s Run `tina plugins list` for details.", error)

    def load(self, record: PluginRecord, importer: Callable[[], Any], *, installed: bool = True) -> None:
        """Import a plugin and run its `tina_register`; after any failure nothing of it stays behind.

        Args:
            record: receives the outcome.
            importer: returns the module or object with the hooks.
            installed: it is a package, which may be older than this program and has to state its plugin API.

        Raises:
            PluginError: the plugin is broken; `record` says so too.
        """
        limit = seconds_to_load()
        start, outer, self.loading = time.perf_counter(), self.loading, record
        try:
            with ExitStack() as undo:
                if record.distribution != DISTRIBUTION:
                    undo.enter_context(guarded(record.label, record.way_out, limit))
                undo.enter_context(noted_in(record, installed=installed))
                for _, registry in self.registries:
                    undo.enter_context(registry.transaction())
                plugin = importer()
                check_api(_stated_api(plugin), required=installed)
                self._manager.register(plugin)
                try:
                    self._manager.check_pending()
                    results = self._hook("tina_register", plugin)(registry=Registrar(self.registries, record))
                    _check_ran(results)
                except BaseException:
                    self._manager.unregister(plugin)
                    raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin that calls sys.exit() must not end the program
            record.fail(error)
            raise PluginError(f"{record.label} failed to load: {record.error}.") from error
        finally:
            record.seconds, self.loading = time.perf_counter() - start, outer
        self._plugins.append((record, plugin))

    def _hook(self, name: str, plugin: Any) -> pluggy.HookCaller:
        """Return the hook `name` of this plugin alone."""
        return self._manager.subset_hook_caller(name, self._manager.get_plugins() - {plugin})

    def command_hooks(self) -> Iterator[tuple[PluginRecord, Callable[..., Any]]]:
        for record, plugin in self._plugins:
            hook = self._hook("tina_commands", plugin)
            if hook.get_hookimpls():
                yield record, partial(_run_hook, record, hook)

    def _hint(self, kind: str, name: str) -> str:
        """Name the disabled and broken plugins, any of which might have provided `name`."""
        sentences = []
        for record in self.records:
            if record.status == "disabled":
                sentences.append(f"{record.label} is {record.error}.")
            elif record.status == "broken" and name in record.provides.get(f"{kind}s", []):
                sentences.append(f"{record.label} would have provided '{name}', but failed to load: {record.error}.")
            elif record.status == "broken":
                sentences.append(f"{record.label} failed to load: {record.error}.")
        return " ".join(sentences)


def _run_hook(record: PluginRecord, hook: pluggy.HookCaller, **arguments: Any) -> None:
    """Run a hook of one plugin under the guard that also holds while it is loaded.

    Raises:
        PluginError: the hook raised anything.
    """
    limit = seconds_to_load()
    try:
        with guarded(record.label, record.way_out, limit), noted_in(record):
            hook(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(why_stopped(error)) from error


def _names(variable: str) -> set[str]:
    """Return the names in a comma-separated environment variable, normalised."""
    return {normal_name(name.strip()) for name in os.environ.get(variable, "").split(",") if name.strip()}


def _import(target: str, problem: str | None = None) -> Any:
    if problem is not None:
        raise PluginError(problem)
    module_name, _, attributes = target.partition(":")
    plugin: Any = importlib.import_module(module_name)
    for attribute in attributes.split(".") if attributes else ():
        plugin = getattr(plugin, attribute)
    return plugin


def _check_ran(results: list[Any]) -> None:
    """Refuse a hook that returned something which would have to be run first: nothing in it was executed."""
    for result in results:
        if inspect.isgenerator(result) or inspect.isawaitable(result) or inspect.isasyncgen(result):
            if not inspect.isasyncgen(result):
                getattr(result, "close", lambda: None)()  # a coroutine would warn that nobody waited for it
            raise PluginError(
                f"its tina_register returns a {type(result).__name__}, so it did not run; "
                "write it as a plain function, without yield and async"
            )


def _stated_api(plugin: Any) -> object:
    """The TINA_API of a plugin: its own, or that of the module in which the object was defined."""
    module = sys.modules.get(getattr(plugin, "__module__", ""))
    return getattr(plugin, "TINA_API", getattr(module, "TINA_API", None))


_lock = threading.RLock()
_host: _Host | None = None


def _loaded() -> _Host:
    """Return the host, with all plugins loaded. A plugin that asks for it while it is loading sees it partly filled."""
    global _host
    with _lock:
        if _host is None:
            _host = _Host()
            try:
                _host.load_all()
            except BaseException:
                _host = None
                raise
        return _host


def registries() -> Registries:
    """Return all registries. The first call loads every plugin.

    Raises:
        PluginError: a plugin is broken and ``TINA_STRICT_PLUGINS=1`` is set.
    """
    return _loaded().registries


def plugin_records() -> list[PluginRecord]:
    """Return one record for each plugin found, whether it is loaded, broken or disabled."""
    return list(_loaded().records)


def register(kind: str, name: str, target: Any, **details: Any) -> None:
    """Add one name, on behalf of the plugin that is being loaded, or else of the running program.

    Args:
        kind: ``encoders``, ``architectures``, ``tokenizers``, ``schedulers``, ``datasets``, ``exporters``, ``methods``,
            ``generators`` or ``zoos``.
        name: the name.
        target: what it stands for; see `tina_framework.plugin.registry.Registry.add`.
        details: of a method, as for `tina_framework.plugin.hookspecs.MethodRegistrar`.

    Raises:
        PluginError: the name or target is malformed, or the name is taken.
    """
    host = _loaded()
    getattr(Registrar(host.registries, host.loading), kind).add(name, target, **details)


def command_hooks() -> list[tuple[PluginRecord, Callable[..., Any]]]:
    """Return, for each plugin that adds commands, its record and its hook, which is called with ``app=``."""
    return list(_loaded().command_hooks())


def load_plugin_file(path: str | Path) -> PluginRecord:
    """Run a Python file of the user, so that its decorators and hooks register names. A second call does nothing.

    The path must come from the user each time (``--plugin FILE.py``). A path read from a file could run foreign code.

    Raises:
        ConfigError: there is no such Python file.
        PluginError: the file fails; nothing that it registered is kept.
    """
    try:
        file = Path(path).resolve()
        good = file.suffix == ".py" and file.is_file()  # no folder, named pipe or device
    except (OSError, ValueError, RuntimeError):  # links in a circle, or a name that no file can have
        good = False
    if not good:
        raise ConfigError(
            f"{shorten(str(path), 300)} is not a Python file; give --plugin the path of an existing .py file."
        )
    host = _loaded()
    for known in host.records:
        if known.target == str(file):
            return known
    record = PluginRecord(name=file.name, distribution=file.name, version="", target=str(file))
    module = f"tina_plugin_file_{len(host.records)}_{file.stem}"
    host.load(record, lambda: _run_file(file, module), installed=False)
    host.records.append(record)
    return record


def _run_file(file: Path, module_name: str) -> Any:
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"'{file}' cannot be run as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and typing look up the module of a class there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(module_name, None)
        if isinstance(error, SyntaxError) and "codec can't decode" in str(error):
            raise PluginError("it is not UTF-8; save it as UTF-8") from error
        raise
    return module
