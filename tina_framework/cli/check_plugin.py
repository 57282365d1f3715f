"""Run the conformance kit on everything that a plugin provides, without pytest; for ``tina plugins check``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, PluginError, TinaError
from tina_framework.plugin.registry import listed
from tina_framework.terminal.command_line import program

if TYPE_CHECKING:
    from tina_framework.plugin.hookspecs import PluginRecord
    from tina_framework.plugin.method_registry import MethodRegistry
    from tina_framework.testing.runner import CheckResult

__all__ = ["Verdict", "check_records", "read_specs"]

_NEXT = {
    "architectures": "zoo build --out zoo --dataset shapes --architecture {name}",
    "datasets": "zoo build --out zoo --dataset {spec}",
    "encoders": "generate apple bear --encoder {spec}",
    "exporters": "export DIR --format {name}",
    "generators": "generate CLASS CLASS --model {name}",
    "methods": "bench --quick --methods {spec}",
    "schedulers": "evaluate --model cifar100-cnn --methods tina,tina@{name}:20,selection --dataset DATA --tasks TASKS.json --out results",
    "tokenizers": "train --tokenizer {name} --zoo zoo --dataset shapes --encoders clip-lite --output_dir run",
    "zoos": "list zoos",
}
"""Kind -> the command of ``tina`` to try next with a component of this kind."""


@dataclass(frozen=True)
class Verdict:
    """The result of checking one component.

    Attributes:
        kind: ``architectures``, ...
        name: the registered name.
        results: one for each check; empty if the component was not checked.
        problem: why it was not checked; None if it was.
        next_command: what to run next if all checks pass.
    """

    kind: str
    name: str
    results: Sequence[CheckResult] = field(default_factory=tuple)
    problem: str | None = None
    next_command: str = ""

    @property
    def failures(self) -> list[CheckResult]:
        return [result for result in self.results if result.failed]

    @property
    def status(self) -> str:
        if self.problem is not None:
            return "not checked"
        return "failed" if self.failures else "passed"

    def to_json(self) -> dict[str, Any]:
        checks = [
            {
                "check": r.name,
                "status": "failed" if r.failed else "skipped" if r.skipped else "passed",
                "message": r.message,
            }
            for r in self.results
        ]
        return {"kind": self.kind, "name": self.name, "status": self.status, "problem": self.problem, "checks": checks}


def read_specs(given: Sequence[str]) -> dict[str, str]:
    """Return each ``NAME:ARGUMENT`` of --with, by name.

    Raises:
        ConfigError: a value has no argument.
    """
    specs = {}
    for spec in given:
        name, colon, argument = spec.partition(":")
        if not colon or not argument:
            raise ConfigError(
                f"--with {spec} has no argument; write --with NAME:ARGUMENT, e.g. my-encoder:vectors.npz."
            )
        specs[name] = spec
    return specs


def check_records(records: Sequence[PluginRecord], specs: Mapping[str, str]) -> list[Verdict]:
    """Check everything that these plugins provide.

    Args:
        records: the plugins.
        specs: name -> ``NAME:ARGUMENT``, for components that need an argument.

    Raises:
        PluginError: one of them is broken, disabled or provides nothing to check.
        ConfigError: none of the plugins provides a name in `specs`.
    """
    for record in records:
        if record.status != "ok":
            raise PluginError(f"{record.label} is {record.status}, so there is nothing to check: {record.error}.")
    provided = [(kind, name) for r in records for kind, names in r.provides.items() if kind in _NEXT for name in names]
    if not provided:
        raise PluginError(f"{records[0].label} registers no component, so there is nothing to check.")
    unknown = sorted(specs.keys() - {name for _, name in provided})
    if unknown:
        raise ConfigError(f"--with names '{unknown[0]}', which the plugin does not provide; it provides "
                          f"{listed([name for _, name in provided])}.")  # fmt: skip
    return [_verdict(kind, name, specs.get(name, name)) for kind, name in provided]


def _method(registry: MethodRegistry, name: str, spec: str) -> partial[Any]:
    """Return a function that makes a method, with the argument of ``NAME:ARGUMENT``."""
    from tina_framework.cli.method_context import method_context

    _, colon, text = spec.partition(":")
    entry, argument = registry.entry(name), text if colon else None
    if argument is None and entry.argument_required:
        raise ConfigError(f"Method '{name}' needs an argument: {entry.usage}.")
    entry.check_argument(argument)
    registry.method_class(name).check_argument(argument)
    return partial(registry.create_unchecked, name, context=method_context(), argument=argument)


def _verdict(kind: str, name: str, spec: str) -> Verdict:
    from tina_framework.plugin.discovery import registries
    from tina_framework.plugin.guard import PluginStopped, guarded, leave_out, why_stopped
    from tina_framework.testing import run_checks

    registry = getattr(registries(), kind)
    create = partial(registry.create_unchecked, spec)
    owner = registry.entry(name).distribution or ""
    try:
        if kind == "methods":
            create = _method(registry, name, spec)
        component = create()
        if kind in ("schedulers", "datasets", "methods"):
            # Schedulers keep state, and the others are compared with a second instance: their checks create several objects.
            component = create
        elif kind == "generators":
            component = name  # by name, it may use an encoder of the same plugin
        with guarded(f"Plugin '{owner}'", leave_out(owner)):  # the result may be JSON, which no plugin may write into
            results = run_checks(kind, component)
    except TinaError as error:
        hint = f" Give it with --with {name}:ARGUMENT." if "needs an argument" in str(error) else ""
        return Verdict(kind, name, problem=f"{error}{hint}")
    except (SystemExit, PluginStopped) as error:
        return Verdict(kind, name, problem=f"while it was checked, {why_stopped(error)}.")
    return Verdict(
        kind,
        name,
        tuple(results),
        next_command=f"{program()} {_NEXT[kind].format(name=name, spec=_written(kind, spec))}",
    )


def _written(kind: str, spec: str) -> str:
    """Return how a component is named in a command: the argument of a method follows ``@``."""
    return spec.replace(":", "@", 1) if kind == "methods" else spec
