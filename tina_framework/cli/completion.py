"""Complete words in the shell: what Typer asks for at each press of TAB, as fast as possible and without torch.

``tina --install-completion`` and ``--show-completion`` are Typer's. The shell then runs ``tina`` with ``_TINA_COMPLETE`` set.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["DEVICES", "answer_shell", "is_asked", "kinds", "one_of", "plugins", "protocols", "registered", "tables"]

_VARIABLE = "_TINA_COMPLETE"
_SECONDS_A_PLUGIN = "2"

Complete = Callable[[str], list[str]]
"""What is written so far -> all words that it may become."""


def is_asked() -> bool:
    """Return whether the shell asks for words, in place of running a command."""
    return bool(os.environ.get(_VARIABLE))


def answer_shell(command: Any) -> int:
    """Print the words that the shell asks for, and nothing else, whatever fails. Returns the exit code.

    Args:
        command: the command of ``tina``.
    """
    # Messages would be printed into the line that the user writes.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stderr.flush()
    os.dup2(nowhere, 2)
    os.environ.setdefault("TINA_PLUGIN_TIMEOUT", _SECONDS_A_PLUGIN)
    _join_options_and_values()
    try:
        command.main(args=[], prog_name="tina", complete_var=_VARIABLE)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except Exception:  # of a plugin, or a line that cannot be read
        return 1
    return 0


def _join_options_and_values() -> None:
    """Let bash's words for ``--model=NAME`` read as those for ``--model NAME``. Bash passes ``=`` as a word of its own."""
    with contextlib.suppress(KeyError, ValueError):  # another shell, or an open quotation mark
        words, place = shlex.split(os.environ["COMP_WORDS"], posix=False), int(os.environ["COMP_CWORD"])
        signs = [i for i, word in enumerate(words) if word == "=" and i and words[i - 1].startswith("--")]
        if signs:
            os.environ["COMP_WORDS"] = " ".join(word for i, word in enumerate(words) if i not in signs)
            os.environ["COMP_CWORD"] = str(place - sum(i < place for i in signs))


def one_of(*words: str) -> Complete:
    """Complete one of these words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


DEVICES = one_of("auto", "cpu", "cuda", "mps")


def registered(kind: str) -> Complete:
    """Complete a registered name, such as that of an encoder. Where no name fits, the shell completes files.

    Args:
        kind: the field of `tina_framework.plugin.hookspecs.Registries`, for example ``encoders``.
    """

    def complete(incomplete: str) -> list[str]:
        from tina_framework.plugin.discovery import registries

        return one_of(*getattr(registries(), kind).names())(incomplete)

    return complete


def kinds(incomplete: str) -> list[str]:
    """Complete the kind of registered names: ``encoders`` and so on."""
    from dataclasses import fields

    from tina_framework.plugin.hookspecs import Registries

    return one_of(*sorted(field.name for field in fields(Registries)))(incomplete)


def plugins(incomplete: str) -> list[str]:
    """Complete the name of an installed plugin."""
    from tina_framework.plugin.entry_points import find_plugins

    return one_of(*sorted({plugin.name for plugin in find_plugins()}))(incomplete)


def tables(incomplete: str) -> list[str]:
    """Complete what ``tina reproduce`` can measure again."""
    from importlib import resources

    recorded = resources.files("tina_framework") / "evaluation" / "recorded"
    return one_of(*sorted(entry.name for entry in recorded.iterdir() if entry.is_dir()))(incomplete)


def protocols(incomplete: str) -> list[str]:
    """Complete the protocol of ``tina bench``."""
    from importlib import resources

    files = (resources.files("tina_framework") / "evaluation" / "protocols").iterdir()
    names = sorted(file.name.removesuffix(".json") for file in files if file.name.count(".") == 1)
    return one_of(*names)(incomplete)
