"""Build the ``tina`` application: global options, built-in commands, and the commands of plugins.

A command is imported when it is named. Plugins are loaded when a command needs them, or when the name is that of no built-in
command. So ``tina --version`` and help pages work whatever is installed.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_name

from tina_framework.cli.path_parameters import path_option
from tina_framework.errors import PluginError

__all__ = ["COMMANDS", "build_app", "load_plugin_commands"]

COMMANDS = (
    "generate",
    "classify",
    "fine-tune",
    "export",
    "ui",
    "zoo",
    "train",
    "train-teacher",
    "evaluate",
    "bench",
    "calibrate",
    "reproduce",
    "diagnose",
    "rehash",
    "list",
    "plugins",
    "env",
)
"""In the order of the help page. Each is a module ``<name>_command`` (hyphens become underscores) with ``register(app)``."""

log = logging.getLogger("tina_framework.plugins")


def build_app() -> typer.Typer:
    """Return the application. Its commands are imported when they are named, and no plugin is loaded."""
    app = typer.Typer(
        name="tina",
        cls=_Commands,
        help="Generate the weights of a small image classifier from class names.",
        epilog="Run 'tina COMMAND --help' for help on a command. Plugins may add commands: 'tina plugins list' shows them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    return app


class _Commands(TyperGroup):
    """The group of all commands, each of which is imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *(name for name in self.commands if name not in COMMANDS)]

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the names of commands, including those of plugins."""
        if not any(name.startswith(incomplete) for name in COMMANDS):
            self.commands.update(load_plugin_commands())
        return super().shell_complete(ctx, incomplete)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _built_in(cmd_name)
        elif cmd_name not in self.commands:
            # Perhaps a command of a plugin. The others are added because similar names are suggested from them.
            self.commands.update({name: _built_in(name) for name in COMMANDS} | load_plugin_commands())
        return self.commands.get(cmd_name)


def _built_in(name: str) -> Any:
    app = _new_app()
    importlib.import_module(f"tina_framework.cli.{name.replace('-', '_')}_command").register(app)
    return get_command(app).commands[name]  # type: ignore[attr-defined]


def _new_app() -> typer.Typer:
    """Return an empty application. The callback makes it a group, also with a single command."""
    app = typer.Typer()
    app.callback()(lambda: None)
    return app


def _global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    plugin: Annotated[
        list[Path] | None,
        path_option("--plugin", metavar="FILE.py", help="Load the plugin in this Python file. Repeatable."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda value: _print_version(value), help="Print the version and exit."
        ),
    ] = False,
) -> None:
    # `run_program` handles --debug, because errors end up there. It is declared here only for the help page.
    if plugin:
        from tina_framework.plugin.discovery import load_plugin_file

        for file in plugin:
            load_plugin_file(file)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tina_framework import __version__
        from tina_framework.terminal.console import print_line

        print_line(f"tina-framework {__version__}")
        raise typer.Exit


def load_plugin_commands() -> dict[str, Any]:
    """Load all plugins and return their commands by name. The record of each plugin lists its own.

    A plugin that fails, or uses a name that exists, is recorded as broken and left out.
    """
    from tina_framework.plugin.discovery import command_hooks

    found: dict[str, Any] = {}
    for record, hook in command_hooks():
        app = _new_app()
        try:
            hook(app=app)
            added = _names(app)
            taken = [name for name in added if name in COMMANDS or name in found or added.count(name) > 1]
            if taken:
                raise PluginError(f"the command '{taken[0]}' exists already; rename it")
            # Typer finds a malformed command only when it builds the parser.
            found |= get_command(app).commands  # type: ignore[attr-defined]
            record.provides["commands"] = sorted(added)
        # Whatever a plugin raises must not break the other commands.
        except (Exception, SystemExit) as error:
            record.fail(error)
            log.warning(
                "%s cannot add its commands: %s. Run `tina plugins list` for details.", record.label, record.error
            )
    return found


def _names(app: typer.Typer) -> list[str]:
    """Return the name of every command and group."""
    commands = [
        c.name or (get_command_name(c.callback.__name__) if c.callback else "") for c in app.registered_commands
    ]
    groups = [str(g.name or (g.typer_instance.info.name if g.typer_instance else "")) for g in app.registered_groups]
    return commands + groups
