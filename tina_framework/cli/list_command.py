"""``tina list KIND [PATTERN]``: the registered names of one kind, as from `tina_framework.list_architectures`."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import kinds

if TYPE_CHECKING:
    from tina_framework.plugin.folder_registry import FolderRegistry

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_names)


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            autocompletion=kinds,
            help="One of: architectures, datasets, encoders, exporters, generators, methods, schedulers, tokenizers, zoos.",
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
    rows: list[dict[str, Any]] = [row for row in described if fnmatch.fnmatchcase(row["name"], pattern)]
    if wanted == "generators":
        rows = [{**row, **_summary(registries().generators, row["name"])} for row in rows]
    if as_json:
        print_json(rows)
        return
    if not rows:
        known = listed([row["name"] for row in described])
        print_error(f"No {wanted.removesuffix('s')} matches '{pattern}'. Known: {known}.")
        return
    # Where a generator's folder or a method's class lies helps nobody to choose one.
    special = {
        "generators": ["name", "writes", "knows", "distribution"],
        "methods": ["usage", "summary", "distribution"],
    }
    columns = special.get(wanted, ["name", "distribution", "target"])
    print_table([{**row, "distribution": row["distribution"] or None} for row in rows], columns)


def _summary(generators: FolderRegistry, name: str) -> dict[str, str | None]:
    """Return what a generator writes, and for which classes, from its configuration alone. None if it cannot be read."""
    from tina_framework.errors import TinaError
    from tina_framework.storage.files import read_json

    try:
        config = read_json(generators.target(name) / "config.json")
        writes = f"{config['architecture']} for {config['min_classes']} to {config['max_classes']} classes"
        more = " and any other words" if config["condition"].get("open_vocabulary") else ""
        return {"writes": writes, "knows": f"{len(config['class_names'])} classes{more}"}
    except (TinaError, OSError, KeyError, TypeError, AttributeError):
        return {"writes": None, "knows": None}
