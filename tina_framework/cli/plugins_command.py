"""``tina plugins``: what is installed, what it provides, how long it took to load, and what is broken."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tina_framework.hookspecs import PluginRecord

__all__ = ["register"]

plugins = typer.Typer(name="plugins", help="Look into installed plugins.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(plugins)


@plugins.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List every plugin: version, distribution, health, import time and the names it provides.

    TINA_DISABLE_PLUGINS (comma-separated names) blocks plugins, TINA_ALLOW_PLUGINS lets in no others; TINA_STRICT_PLUGINS=1
    makes a broken one an error.
    """
    from tina_framework.cli.output import console, print_json, print_table
    from tina_framework.discovery import plugin_records

    records = plugin_records()
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
            "provides": "\n".join(_provides(record)) or None,
        }
        for record in records
    ]
    print_table(rows, ["plugin", "distribution", "version", "health", "ms", "provides"])
    for record in records:
        if record.status == "broken":
            console.print(f"\n{record.label} is broken: {record.error}.", markup=False, soft_wrap=True)
    if any(record.notes for record in records):
        console.print("\n* has notes for its author: tina plugins show NAME", markup=False, soft_wrap=True)


@plugins.command("show")
def show_plugin(
    name: Annotated[str, typer.Argument(help="Entry point or distribution, as 'tina plugins list' names them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Show all about one plugin: where it comes from, what it provides, why it is broken, what its author should know."""
    from tina_framework.cli.output import console, print_json

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
            console.print()
        for label, value in lines:
            if value:
                console.print(f"{label + ':':<14}{value}", markup=False, soft_wrap=True)
        for kind, entries in described["entries"].items():
            console.print(f"{kind + ':':<14}", markup=False)
            for entry in entries:
                console.print(f"  {entry['name']}  ({entry['target']})", markup=False, soft_wrap=True)


def _provides(record: PluginRecord) -> list[str]:
    return [f"{kind}: {', '.join(names)}" for kind, names in record.provides.items()]


def _find(name: str) -> list[PluginRecord]:
    """The plugins of that entry point or distribution.

    Raises:
        UnknownNameError: there is none.
    """
    from tina_framework.discovery import plugin_records
    from tina_framework.entry_points import normal_name
    from tina_framework.errors import UnknownNameError

    records = plugin_records()
    found = [r for r in records if normal_name(name) in (normal_name(r.name), normal_name(r.distribution))]
    if not found:
        known = sorted({r.name for r in records} | {r.distribution for r in records})
        close = difflib.get_close_matches(name, known, n=1)
        suggestion = f" Did you mean '{close[0]}'?" if close else ""
        raise UnknownNameError(
            f"No plugin '{name}' is installed.{suggestion} Installed: {', '.join(known)}. A package is found by its entry "
            "point in the group 'tina_framework'."
        )
    return found


def _described(record: PluginRecord) -> dict[str, Any]:
    """The record, the package's own summary, and where each name leads."""
    import importlib.metadata

    from tina_framework.discovery import registries

    try:
        summary = importlib.metadata.metadata(record.distribution)["Summary"]
    except importlib.metadata.PackageNotFoundError:
        summary = None
    entries = {}
    for kind, registry in registries():
        rows = [row for row in registry.describe() if row["name"] in record.provides.get(kind, [])]
        if rows and record.status == "ok":
            entries[kind] = [{"name": row["name"], "target": row["target"]} for row in rows]
    return {**asdict(record), "summary": summary, "entries": entries}
