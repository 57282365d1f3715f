"""From what stands on the command line to tasks: class notations, a sentence, or a task file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

__all__ = ["HELP", "check_one_way", "read_tasks"]

HELP = (
    "A class each, in quotes where it has spaces: NAME; LABEL=WORDS, a description; LABEL=@PICTURE, where a folder or several "
    "(@a.png,@b.png) are averaged; LABEL=WORDS+@PICTURE, both; @FOLDER alone is labelled by its name. Or one sentence."
)


def check_one_way(names: Sequence[str] | None, sentence: str | None, tasks: Path | None) -> None:
    """Raises:
    ConfigError: the classes are said in no way, or in several.
    """
    from tina_framework.errors import ConfigError

    if bool(names) + (sentence is not None) + (tasks is not None) != 1:
        raise ConfigError("Name the classes, or give a task file with --tasks, or a --sentence (one of the three).")


def read_tasks(
    names: Sequence[str] | None, sentence: str | None, tasks: Path | None, known: Collection[str]
) -> list[list[Any]]:
    """The tasks, pictures read, in the one way that is given.

    Args:
        names: one class each; a single one may be a sentence.
        sentence: a whole task.
        tasks: a task file.
        known: names of classes that the generator knows, by which a sentence is read.

    Raises:
        PromptError, DataError: see `tina_framework.prompts`, `notation`, `sentence` and `task_file`.
    """
    from tina_framework.prompts.notation import parse_notation, read_class
    from tina_framework.prompts.sentence import classes_of, parse_sentence
    from tina_framework.prompts.task_file import load_prompt_tasks

    if tasks is not None:
        return [list(task) for task in load_prompt_tasks(tasks)]
    if sentence is not None:
        return [list(classes_of(sentence, known))]
    names = list(names or ())
    if len(names) == 1:
        parsed = parse_notation(names[0])
        if not parsed.label and not parsed.files and (found := parse_sentence(parsed.words, known)) is not None:
            return [list(found)]
    return [[read_class(name) for name in names]]
