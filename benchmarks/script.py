"""How the programs of this folder end: like `tina`, with one sentence where something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tina_framework.errors import explain

__all__ = ["run"]


def run(main: Callable[[list[str]], object]) -> None:
    """Calls `main` with the words of the command line. Exit codes are those of `tina`: 1 it failed, 2 the call has to be changed."""
    try:
        main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error)
        print(sentence, file=sys.stderr)
        sys.exit(code)
