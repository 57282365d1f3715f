"""The ways to name classes on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["HELP", "prompts_given"]

HELP = (
    "One argument for each class, in quotes if it has spaces. NAME is a name. LABEL=WORDS is a description. LABEL=@PICTURE "
    "shows pictures: a folder, or several files (@a.png,@b.png), which are averaged. LABEL=WORDS+@PICTURE is both. "
    "@FOLDER alone takes its label from the folder. A single argument may be one sentence about the classes."
)


def prompts_given(names: Sequence[str] | None, sentence: str | None, tasks: Path | None) -> Path | str | list[str]:
    """Return the prompts, for `tina_framework.prompts.read.read_tasks` with ``notation=True``.

    Args:
        names: one entry for each class.
        sentence: a whole task.
        tasks: a task file.

    Raises:
        ConfigError: none of the three is given, or more than one.
    """
    from tina_framework.errors import ConfigError

    if bool(names) + (sentence is not None) + (tasks is not None) != 1:
        raise ConfigError("Name the classes, or give a task file with --tasks, or a --sentence (one of the three).")
    if tasks is not None:
        return tasks
    return sentence if sentence is not None else list(names or ())
