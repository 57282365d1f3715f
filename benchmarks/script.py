"""Share among the scripts: where the repository is, how errors are reported, what is recorded, and which kept results count."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError, explain, printable
from tina_framework.evaluation.paths import without_folders

__all__ = ["PRETRAINED", "REPOSITORY", "check_kept", "command_line", "run"]

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


def check_kept(path: Path, values: Any, head: Mapping[str, Any]) -> None:
    """Refuse a result that an earlier call kept, if that call had other settings.

    Args:
        path: its file.
        values: what the file holds. The settings are under ``head``.
        head: those of this call: what a message calls a setting -> JSON values.

    Raises:
        ConfigError: the message names the settings that differ.
    """
    kept = values.get("head") if isinstance(values, dict) else None
    wanted = json.loads(json.dumps(head))
    odd = [name for name in wanted if not isinstance(kept, dict) or kept.get(name) != wanted[name]]
    if odd:
        raise ConfigError(
            f"'{path}' was made with another {' and '.join(odd)}. Choose another folder with --out, or remove the file."
        )
