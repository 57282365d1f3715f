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
        from tina_framework.cli.completion import answer_shell, is_asked

        if is_asked():
            return answer_shell(get_command(build_app()))
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
            if type(error).__name__ == "NoArgsIsHelpError":  # the help page was printed in its place
                return int(error.exit_code)  # type: ignore[attr-defined]
            raise _usage_error(error) from None
    except ImportError as error:
        from tina_framework.plugin.missing_dependency import failed_import

        raise failed_import(error) from error
    return 0


def _usage_error(error: Any) -> Exception:
    """Return the error of the command line as one of this package. It says what is wrong, and how to get help."""
    from tina_framework.errors import UsageError, shorten_words

    message, context = shorten_words(error.format_message()), getattr(error, "ctx", None)
    if not message.endswith((".", "?", "!")):
        message += "."
    if context is not None:
        message += f"\nTry `{context.command_path} --help` for help."
    return UsageError(message)


if __name__ == "__main__":
    main()
