"""Name the program and its commands as the user has to type them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["command", "program", "python", "remember_arguments", "same_command", "with_program"]

_NAME = "tina"
_COMMANDS = re.compile(rf"(?P<before>`){_NAME} (?=[a-z-])|(?P<colon>: |`)pip install ")
"""Commands in a message: those of this program in backticks, and advice to install something."""

_arguments: tuple[str, ...] | None = None


def program(*, elsewhere: bool = False) -> str:
    """Return what a user types to run this program: ``tina`` if PATH leads to it, else for example ``.venv/bin/tina``.

    Args:
        elsewhere: the command is for another folder than the current one, so a path must be absolute.
    """
    script = _script()
    if script is None:
        return f"{python(elsewhere=elsewhere)} -m tina_framework.cli"
    return _NAME if _is_on_path(script) else _typed(script, elsewhere)


def python(*, elsewhere: bool = False) -> str:
    """Return what a user types to run Python of this environment: ``python`` if PATH leads to it, else a path.

    Args:
        elsewhere: as for `program`.
    """
    interpreter = Path(sys.executable)
    return "python" if _is_on_path(interpreter, "python") else _typed(interpreter, elsewhere)


def command(*words: object) -> str:
    """Return a command line to paste: the program and these words, in quotes where the shell needs them.

    A `Path` that begins with ``-`` gets ``./`` before it, because it would be read as an option.
    """
    return f"{program()} {shlex.join(map(_word, words))}"


def _word(word: object) -> str:
    text = str(word)
    return os.path.join(".", text) if isinstance(word, Path) and text.startswith("-") else text  # noqa: PTH118


def with_program(text: str) -> str:
    """Return a message whose commands can be pasted: those in backticks that begin with ``tina``, and ``: pip install``."""
    if _COMMANDS.search(text) is None:
        return text
    tina, pip = program(), "pip" if python() == "python" else f"{python()} -m pip"

    def typed(found: re.Match[str]) -> str:
        return f"{found['colon']}{pip} install " if found["colon"] else f"{found['before']}{tina} "

    return _COMMANDS.sub(typed, text)


def remember_arguments(arguments: Sequence[str]) -> None:
    """Keep the words after the program's name, for `same_command`."""
    global _arguments
    _arguments = tuple(arguments)


def same_command() -> str | None:
    """Return the command line that runs the same command again; None if no arguments are known."""
    return None if _arguments is None else command(*_arguments)


def _script() -> Path | None:
    """Return the installed script that runs, or that belongs to the running interpreter."""
    started = Path(sys.argv[0] if sys.argv else "")
    # Windows leaves out the suffix .exe.
    for path in (started, started.with_suffix(".exe") if started.name else started):
        if path.stem == _NAME and path.is_file():
            return path
    beside = shutil.which(_NAME, path=str(Path(sys.executable).parent))
    return None if beside is None else Path(beside)


def _is_on_path(file: Path, name: str = _NAME) -> bool:
    """Return whether the shell finds this file under a name. An interpreter's link is compared, not what it leads to."""
    found = shutil.which(name)
    try:
        # Each environment has its own link to one interpreter, so the folders decide.
        return found is not None and Path(found).parent.samefile(file.parent) and Path(found).samefile(file)
    except OSError:
        return False


def _typed(path: Path, elsewhere: bool) -> str:
    """Return a path for the shell. Inside the current folder it is relative, unless it is typed elsewhere."""
    try:
        if elsewhere:
            return shlex.quote(str(path.absolute()))
        inside = path.relative_to(Path.cwd()) if path.is_absolute() else path
    except (OSError, ValueError):  # the current folder was removed, or the path is elsewhere
        inside = path
    # The shell looks up a word without a separator in PATH.
    return shlex.quote(str(inside) if len(inside.parts) > 1 else os.path.join(".", inside))  # noqa: PTH118
