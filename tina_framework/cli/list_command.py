"""``tina list KIND [PATTERN]``: the registered names of one kind, as from `tina_framework.list_architectures`."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_names)


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            help="One of: architectures, datasets, encoders, exporters, generators, schedulers, tokenizers, zoos."
        ),
    ],
    pattern: Annotated[str, typer.Argument(help="Shell pattern, e.g. 'cnn*'.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the registered names of one kind, e.g. all architectures, and the package each comes from."""
    from tina_framework.cli.output import print_error, print_json, print_table
    from tina_framework.errors import ConfigError
    from tina_framework.plugin.discovery import registries
    from tina_framework.plugin.registry import listed

    kinds = dict(registries())
    wanted = kind if kind in kinds else f"{kind}s"
    if wanted not in kinds:
        raise ConfigError(f"There is no kind '{kind}'; choose one of {', '.join(sorted(kinds))}.")
    described = kinds[wanted].describe()
    rows = [row for row in described if fnmatch.fnmatchcase(row["name"], pattern)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        known = listed([row["name"] for row in described])
        print_error(f"No {wanted.removesuffix('s')} matches '{pattern}'. Known: {known}.")
        return
    print_table(
        [{**row, "distribution": row["distribution"] or None} for row in rows], ["name", "distribution", "target"]
    )
