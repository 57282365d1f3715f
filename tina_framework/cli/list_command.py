"""``tina list KIND [PATTERN]``: the registered names of one kind, as from `tina_framework.list_architectures`."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import kinds, registered

if TYPE_CHECKING:
    from tina_framework.plugin.architecture_registry import ArchitectureRegistry
    from tina_framework.plugin.folder_registry import FolderRegistry

__all__ = ["register"]

_PARAMETERS = "parameters, 10 classes"


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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            autocompletion=registered("generators"),
            help="With 'architectures': those of this generator (name, folder or Hub id), with sizes and recorded accuracy.",
        ),
    ] = None,
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
    if model is not None:
        if wanted != "architectures":
            raise ConfigError(
                f"--model lists the architectures of a generator, not {wanted}; write 'tina list architectures'."
            )
        _list_written(model, pattern, as_json=as_json)
        return
    described = kinds[wanted].describe()
    rows: list[dict[str, Any]] = [row for row in described if fnmatch.fnmatchcase(row["name"], pattern)]
    if wanted == "generators":
        rows = [{**row, **_summary(registries().generators, row["name"])} for row in rows]
    if wanted == "architectures":
        rows = [{**row, **_sizes(registries().architectures, row["name"])} for row in rows]
    if as_json:
        print_json(rows)
        return
    if not rows:
        known = listed([row["name"] for row in described])
        print_error(f"No {wanted.removesuffix('s')} matches '{pattern}'. Known: {known}.")
        return
    # Where a generator's folder, a network or a method's class lies helps nobody to choose one.
    special = {
        "architectures": ["name", _PARAMETERS, "widths", "distribution"],
        "generators": ["name", "writes", "knows", "distribution"],
        "methods": ["usage", "summary", "distribution"],
    }
    columns = special.get(wanted, ["name", "distribution", "target"])
    shown = [{**row, "distribution": row["distribution"] or None} for row in rows]
    if wanted == "architectures":
        for row in shown:
            row[_PARAMETERS] = row["parameters"]
            row["widths"] = None if row["widths"] is None else "{:g} to {:g}".format(*row["widths"])
    print_table(shown, columns)


def _list_written(model: str, pattern: str, *, as_json: bool) -> None:
    """Print the architectures that a generator writes, from its configuration alone."""
    from tina_framework.cli.output import print_error, print_json, print_table
    from tina_framework.generator.architecture_summary import summarize_architectures
    from tina_framework.generator.components import make_spec
    from tina_framework.generator.folder import find_folder, read_generator_config

    config = read_generator_config(find_folder(model))
    names = config.architectures or (config.architecture,)
    summaries = summarize_architectures(config, {name: make_spec(config, name) for name in names})
    rows = [
        {
            "name": name,
            "default": name == config.architecture,
            "parameters": found.num_parameters(config.max_classes),
            "num_classes": config.max_classes,
            "trained": found.trained,
            "validation_accuracy": found.accuracy,
        }
        for name, found in summaries.items()
        if fnmatch.fnmatchcase(name, pattern)
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        print_error(f"No architecture of this generator matches '{pattern}'. It writes: {', '.join(summaries)}.")
        return
    shown = [
        {
            "name": f"{row['name']}{' (default)' if row['default'] else ''}",
            f"parameters, {config.max_classes} classes": row["parameters"],
            "trained": "yes" if row["trained"] else "no",
            "accuracy on validation tasks": _percent(summaries[str(row["name"])].accuracy),
        }
        for row in rows
    ]
    print_table(shown, list(shown[0]))


def _percent(accuracy: float | None) -> str:
    return "not recorded" if accuracy is None else f"{100 * accuracy:.1f} %"


def _sizes(architectures: ArchitectureRegistry, name: str) -> dict[str, Any]:
    """Return the number of parameters at ten classes, and the least and the greatest width. None if the architecture cannot be made."""
    from tina_framework.errors import TinaError
    from tina_framework.interfaces.spec import ParameterSpec

    try:
        made = architectures.create_unchecked(name)
        widths = None if made.widths is None else [float(width) for width in made.widths]
        return {"parameters": ParameterSpec(made).num_parameters(10), "widths": widths}
    except (TinaError, AttributeError, TypeError, IndexError):  # a plugin may have registered anything
        return {"parameters": None, "widths": None}


def _summary(generators: FolderRegistry, name: str) -> dict[str, str | None]:
    """Return what a generator writes, and for which classes, from its configuration alone. None if it cannot be read."""
    from tina_framework.errors import TinaError
    from tina_framework.storage.files import read_json

    try:
        config = read_json(generators.target(name) / "config.json")
        others = len(config.get("architectures") or ()) - 1
        more = f" and {others} more" if others > 0 else ""
        writes = f"{config['architecture']}{more} for {config['min_classes']} to {config['max_classes']} classes"
        more = " and any other words" if config["condition"].get("open_vocabulary") else ""
        return {"writes": writes, "knows": f"{len(config['class_names'])} classes{more}"}
    except (TinaError, OSError, KeyError, TypeError, AttributeError):
        return {"writes": None, "knows": None}
