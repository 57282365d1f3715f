"""``tina plugins``: list, show, check and create plugins."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import plugins as installed
from tina_framework.cli.path_parameters import path_option

if TYPE_CHECKING:
    from tina_framework.plugin.hookspecs import PluginRecord

__all__ = ["register"]

plugins = typer.Typer(name="plugins", help="List, check and create plugins.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(plugins)


@plugins.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List installed plugins with their version, health, import time and the names they provide.

    Environment variables: TINA_DISABLE_PLUGINS (comma-separated names) disables plugins. TINA_ALLOW_PLUGINS disables all
    others. TINA_STRICT_PLUGINS=1 turns a broken plugin into an error. TINA_PLUGIN_TIMEOUT is how many seconds a plugin may
    take to load (60).
    """
    from tina_framework.cli.output import print_json, print_line, print_table
    from tina_framework.terminal.command_line import command

    records = _records()
    if as_json:
        print_json([asdict(record) for record in records])
        return
    rows: list[dict[str, Any]] = [
        {
            "plugin": record.name,
            "distribution": record.distribution,
            "version": record.version or None,
            "health": record.status + (" *" if record.notes else ""),
            "ms": round(record.seconds * 1000, 1),
            "provides": _provides(record),
        }
        for record in records
    ]
    print_table(rows, ["plugin", "distribution", "version", "health", "ms", "provides"])
    for record in records:
        if record.status == "broken":
            print_line(f"\n{record.label} is broken: {record.error}.")
    if any(record.notes for record in records):
        print_line(f"\n* has notes for its author: {command('plugins', 'show', 'NAME')}")


@plugins.command("show")
def show_plugin(
    name: Annotated[
        str,
        typer.Argument(autocompletion=installed, help="Entry point or distribution, as shown by 'tina plugins list'."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show the details of one plugin: origin, names it provides, errors, and notes for its author."""
    from tina_framework.cli.output import print_json, print_line

    found = _find(name)
    if as_json:
        print_json([_described(record) for record in found])
        return
    for number, record in enumerate(found):
        described = _described(record)
        lines = [
            ("plugin", record.name),
            ("distribution", f"{record.distribution} {record.version}".strip()),
            ("about", described["summary"]),
            ("entry point", record.target),
            ("health", record.status if record.error is None else f"{record.status}: {record.error}"),
            ("loaded in", f"{1000 * record.seconds:.1f} ms"),
            *(("note", note) for note in record.notes),
        ]
        if number:
            print_line()
        for label, value in lines:
            if value:
                print_line(f"{label + ':':<14}{value}")
        for kind, entries in described["entries"].items():
            print_line(f"{kind + ':':<14}")
            for entry in entries:
                print_line(f"  {entry['name']}  ({entry['target']})")


@plugins.command("check")
def check_plugin(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=installed, help="Entry point, distribution, or file that was loaded with --plugin."
        ),
    ],
    given: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME:ARGUMENT", help="Argument for a component that needs one. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Run the conformance kit on everything a plugin provides.

    The exit code is 1 if a check fails or nothing could be checked.
    """
    from tina_framework.cli.check_plugin import check_records, read_specs
    from tina_framework.cli.output import print_json, print_line, print_table

    specs = read_specs(given or ())
    records = _find(name)
    verdicts = check_records(records, specs)
    if as_json:
        print_json([verdict.to_json() for verdict in verdicts])
    else:
        rows = [
            {
                "kind": verdict.kind,
                "name": verdict.name,
                "result": verdict.status,
                "passed": sum(result.passed for result in verdict.results),
                "skipped": sum(result.skipped for result in verdict.results),
                "failed": len(verdict.failures),
            }
            for verdict in verdicts
        ]
        print_table(rows, ["kind", "name", "result", "passed", "skipped", "failed"])
        for verdict in verdicts:
            if verdict.problem:
                print_line(f"\n{verdict.name} was not checked: {verdict.problem}")
            for result in verdict.failures:
                print_line(f"\n{verdict.name}, {result.name}: {result.message}")
        for record in records:
            for note in record.notes:
                print_line(f"\nNote: {record.name} {note}.")
        good = [verdict for verdict in verdicts if verdict.status == "passed"]
        if len(good) == len(verdicts):
            print_line(f"\nNext: {good[0].next_command}")
    if any(verdict.failures for verdict in verdicts) or not any(verdict.results for verdict in verdicts):
        raise typer.Exit(1)


@plugins.command("new")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the new package, e.g. my-plugin.")],
    parent: Annotated[Path, path_option("--in", help="Folder to write it into.")] = Path(),
) -> None:
    """Create a plugin from a template: a package with one architecture, its tests, a README and a CI file."""
    from tina_framework.cli.new_plugin import write_plugin
    from tina_framework.cli.output import print_line
    from tina_framework.terminal.command_line import program, python

    def in_environment(module: str) -> str:
        interpreter = python(elsewhere=True)
        return module if interpreter == "python" else f"{interpreter} -m {module}"

    folder = write_plugin(name, parent)
    for line in (
        f"Wrote {folder}. Next:",
        f"  cd {shlex.quote(str(folder))}",
        f"  {in_environment('pip')} install -e '.[test]'",
        f"  {program(elsewhere=True)} plugins check {folder.name}",
        f"  {in_environment('pytest')}",
    ):
        print_line(line)


def _records() -> list[PluginRecord]:
    """Return the records of all plugins, with the commands that they add."""
    from tina_framework.cli.app import load_plugin_commands
    from tina_framework.plugin.discovery import plugin_records

    load_plugin_commands()
    return plugin_records()


def _provides(record: PluginRecord) -> list[str]:
    from tina_framework.plugin.registry import listed

    return [f"{kind}: {listed(names)}" for kind, names in record.provides.items()]


def _find(name: str) -> list[PluginRecord]:
    """Return the plugins of an entry point or distribution.

    Raises:
        UnknownNameError: none is installed under that name.
    """
    from tina_framework.errors import UnknownNameError
    from tina_framework.plugin.entry_points import normal_name
    from tina_framework.plugin.registry import listed
    from tina_framework.plugin.suggest import did_you_mean

    records = _records()
    found = [r for r in records if normal_name(name) in (normal_name(r.name), normal_name(r.distribution))]
    if not found:
        known = sorted({r.name for r in records} | {r.distribution for r in records})
        suggestion = did_you_mean(name, known)
        raise UnknownNameError(
            f"No plugin '{name}' is installed.{suggestion} Installed: {listed(known)}. Plugins are found by their entry "
            "point in the group 'tina_framework'."
        )
    return found


def _described(record: PluginRecord) -> dict[str, Any]:
    """Return the record with the package's summary and the target of each name."""
    import importlib.metadata

    from tina_framework.plugin.discovery import registries

    try:
        summary = importlib.metadata.metadata(record.distribution)["Summary"]
    except Exception:  # a file without metadata, or a package whose metadata are damaged, which fails in many ways
        summary = None
    entries = {}
    for kind, registry in registries():
        own = set(record.provides.get(kind, []))
        rows = [row for row in registry.describe() if row["name"] in own]
        if rows and record.status == "ok":
            entries[kind] = [{"name": row["name"], "target": row["target"]} for row in rows]
    return {**asdict(record), "summary": summary, "entries": entries}
