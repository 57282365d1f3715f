"""``tina plugins list``: what is installed, what it provides, how long it took to load, and what is broken."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

__all__ = ["register"]

plugins = typer.Typer(name="plugins", help="Show installed plugins.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(plugins)


@plugins.callback()
def _group() -> None:
    """Keeps ``list`` a subcommand: Typer would otherwise fold a single one into its group."""


@plugins.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List every plugin: version, distribution, health, import time and the names it provides.

    TINA_DISABLE_PLUGINS (comma-separated names) blocks plugins; TINA_STRICT_PLUGINS=1 makes a broken one an error.
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
            "health": record.status,
            "ms": round(record.seconds * 1000, 1),
            "provides": "\n".join(f"{kind}: {', '.join(names)}" for kind, names in record.provides.items()) or None,
        }
        for record in records
    ]
    print_table(rows, ["plugin", "distribution", "version", "health", "ms", "provides"])
    for record in records:
        if record.error:
            console.print(f"\n{record.label} is broken: {record.error}.", markup=False, soft_wrap=True)
