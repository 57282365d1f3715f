"""The entry point of ``tina`` and of ``python -m tina_framework.cli``. For exit codes see `tina_framework.terminal.program`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``tina`` with `args` (default: those of the process) and exit with its exit code."""
    try:
        # Imported here, because this takes a while, in which a user may press Ctrl-C already.
        from tina_framework.terminal.program import run_program
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    sys.exit(run_program(_run, sys.argv[1:] if args is None else args))


def _run(arguments: list[str]) -> int:
    try:
        # Imported here, so that an import that fails is reported in one line as well.
        import typer
        from typer.main import get_command

        from tina_framework.cli.app import build_app
        from tina_framework.config.environment import unknown_variables
        from tina_framework.terminal.console import print_error

        for sentence in unknown_variables():
            print_error(f"Warning: {sentence}")
        command = get_command(build_app())
        # Not called through Typer's own `main`: its error boxes read `:bus:` as an emoji, break paths, and hide interrupts.
        try:
            with command.make_context("tina", arguments) as context:
                command.invoke(context)
        except typer.Exit as error:
            return error.exit_code
        except Exception as error:
            if not hasattr(
                error, "format_message"
            ):  # no error of the command line; the class differs between Typer's versions
                raise
            return _report_usage(error)
    except ImportError as error:
        from tina_framework.plugin.missing_dependency import failed_import

        raise failed_import(error) from error
    return 0


def _report_usage(error: Any) -> int:
    """Print what is wrong with the command line, and how to get help. Returns the exit code."""
    from tina_framework.errors import shorten_words
    from tina_framework.terminal.console import print_error

    message, context = shorten_words(error.format_message()), getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the help page was printed in its place
        return int(error.exit_code)
    print_error(f"Error: {message}" if message.endswith((".", "?", "!")) else f"Error: {message}.")
    if context is not None:
        print_error(f"Try '{context.command_path} --help' for help.")
    return int(error.exit_code)


if __name__ == "__main__":
    main()
