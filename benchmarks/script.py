"""Share among the scripts: where the repository is, how errors are reported, and which command is recorded."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from tina_framework.errors import explain, printable
from tina_framework.evaluation.paths import without_folders

__all__ = ["PRETRAINED", "REPOSITORY", "command_line", "run"]

REPOSITORY = Path(__file__).resolve().parent.parent
PRETRAINED = REPOSITORY / "tina_framework" / "pretrained"
"""The bundled generators and zoos."""


def run(main: Callable[[list[str]], object]) -> None:
    """Call `main` with the words of the command line; print an error as one sentence instead of a traceback.

    The exit codes are those of `tina`: 1 after a failure, 2 if the command line has to be changed.
    """
    try:
        main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error)
        print(printable(sentence), file=sys.stderr)
        sys.exit(code)


def command_line(module: str, words: list[str]) -> str:
    """Return the command that a result records, without the folders of this machine."""
    return " ".join([f"python -m benchmarks.{module}", *(shlex.quote(without_folders(word)) for word in words)])
