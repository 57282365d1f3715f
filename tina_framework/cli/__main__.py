"""The entry point of ``tina`` and of ``python -m tina_framework.cli``. It runs a command and turns errors into exit codes.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from tina_framework.errors import explain

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``tina`` with `args` (default: those of the process) and exit with one of the codes above."""
    arguments, debug = _take_debug(list(sys.argv[1:] if args is None else args))
    try:
        # Imported here, so that an import that fails is reported in one line as well.
        from tina_framework.cli.app import build_app

        build_app()(args=arguments, prog_name="tina")
    except ImportError as error:
        from tina_framework.plugin.missing_dependency import failed_import

        _fail(*explain(failed_import(error)), debug)
    except (Exception, KeyboardInterrupt) as error:
        _fail(*explain(error), debug)


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Remove ``--debug`` from the arguments. Returns the other arguments, and whether it was among them.

    It is accepted anywhere before a ``--``, because users add it at the end of the line after a failure.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return options + arguments[end:], len(options) < end


def _fail(message: str, exit_code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
