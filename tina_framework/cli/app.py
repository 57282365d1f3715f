"""Build the ``tina`` application: global options, built-in commands, and the commands of plugins."""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command, get_command_name

from tina_framework.errors import PluginError
from tina_framework.plugin.discovery import command_hooks, load_plugin_file

__all__ = ["COMMANDS", "build_app"]

COMMANDS = (
    "generate",
    "classify",
    "fine-tune",
    "zoo",
    "train",
    "evaluate",
    "calibrate",
    "reproduce",
    "diagnose",
    "rehash",
    "list",
    "plugins",
)
"""In the order of the help page. Each is a module ``<name>_command`` (hyphens become underscores) with ``register(app)``."""

log = logging.getLogger("tina_framework.plugins")


def build_app() -> typer.Typer:
    """Return the application with every command registered, without importing torch."""
    app = typer.Typer(
        name="tina",
        help="Generate the weights of a small image classifier from class names.",
        epilog="Run 'tina COMMAND --help' for help on a command.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for name in COMMANDS:
        importlib.import_module(f"tina_framework.cli.{name.replace('-', '_')}_command").register(app)
    _add_plugin_commands(app)
    return app


def _global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            "--plugin",
            metavar="FILE.py",
            help="Load the plugin in this Python file. Repeatable.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda value: _print_version(value), help="Print the version and exit."
        ),
    ] = False,
) -> None:
    # `main` handles --debug, because errors end up there. It is declared here only for the help page.
    for file in plugin or ():
        load_plugin_file(file)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tina_framework import __version__

        typer.echo(f"tina-framework {__version__}")
        raise typer.Exit


def _add_plugin_commands(app: typer.Typer) -> None:
    """Let every plugin add its commands. A plugin that fails, or uses a name that exists, is recorded as broken and left out."""
    for record, hook in command_hooks():
        commands, groups, before = len(app.registered_commands), len(app.registered_groups), Counter(_names(app))
        try:
            hook(app=app)
            added = sorted((Counter(_names(app)) - before).elements())
            taken = [name for name, count in Counter(_names(app)).items() if count > 1]
            if taken:
                raise PluginError(f"the command '{taken[0]}' exists already; rename it")
            # Typer finds a malformed command only when it builds the parser. Here the plugin can still be removed.
            get_command(app)
            record.provides["commands"] = added
        # Whatever a plugin raises must not break the other commands.
        except (Exception, SystemExit) as error:
            del app.registered_commands[commands:], app.registered_groups[groups:]
            record.fail(error)
            log.warning(
                "%s cannot add its commands: %s. Run `tina plugins list` for details.", record.label, record.error
            )


def _names(app: typer.Typer) -> list[str]:
    """Return the name of every command and group."""
    commands = [
        c.name or (get_command_name(c.callback.__name__) if c.callback else "") for c in app.registered_commands
    ]
    groups = [str(g.name or (g.typer_instance.info.name if g.typer_instance else "")) for g in app.registered_groups]
    return commands + groups
