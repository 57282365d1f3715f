"""Turn what a user asks for into tasks: the one entrance for the command line and for `Generator`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tina_framework.errors import PromptError
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.limits import check_class_count, check_task_count
from tina_framework.prompts.notation import parse_notation, read_class
from tina_framework.prompts.sentence import classes_of, parse_sentence
from tina_framework.prompts.task_file import load_prompt_tasks

__all__ = ["EncodedPrompts", "encode_prompts", "read_tasks"]


class EncodedPrompts(NamedTuple):
    """The tasks of one call.

    Attributes:
        tasks: one entry for each task.
        is_single: whether one task was given rather than a list of tasks.
        were_encoded: whether the caller had encoded the tasks.
    """

    tasks: list[EncodedTask]
    is_single: bool
    were_encoded: bool


def read_tasks(
    prompts: Any, known_names: Collection[str] = (), *, notation: bool = False, most: int | None = None
) -> tuple[list[list[Any]], bool]:
    """Return the classes of each task, and whether a single task was given.

    Args:
        prompts: one of

            - a `Path`: a task file (see `tina_framework.prompts.task_file`);
            - a string: one task as a sentence (see `tina_framework.prompts.sentence`);
            - a list of classes: one task. A class is a name, a picture or a `ClassPrompt`;
            - a list of lists of classes: several tasks.
        known_names: the classes that the generator was trained on. They help to read a sentence, and names that hold ``=``.
        notation: read each class as the command line does (see `tina_framework.prompts.notation`). A list of one plain string
            may then be a sentence.
        most: the most classes of a task; None: `tina_framework.prompts.limits.MAX_CLASSES`. It is checked before pictures are
            read.

    Raises:
        PromptError: the prompts have another type, there are too many classes or tasks, or a class or a sentence cannot be
            read.
        DataError: a task file or a picture cannot be read.
    """
    if isinstance(prompts, Path):
        return load_prompt_tasks(prompts, known_names, most), False
    if isinstance(prompts, str):
        classes = classes_of(prompts, known_names)
        check_class_count(len(classes), most)
        return [list(classes)], True
    if isinstance(prompts, bytes) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"The prompt is a single {type(prompts).__name__}; give a list of at least two classes, or one sentence about them."
        )
    entries = list(prompts)
    is_single = notation or not entries or any(not isinstance(entry, list | tuple) for entry in entries)
    tasks = [entries] if is_single else [list(entry) for entry in entries]
    check_task_count(len(tasks))
    for task in tasks:
        check_class_count(len(task), most)
    if notation:
        tasks = [_read_notation(entries, known_names)]
        check_class_count(len(tasks[0]), most)  # one argument may be a sentence about many classes
    return tasks, is_single


def encode_prompts(prompts: Any, known_classes: KnownClasses, most: int | None = None) -> EncodedPrompts:
    """Read and encode the prompts of one call. Tasks that are encoded already are returned unchanged.

    Args:
        prompts: as in `read_tasks`, or one or several `EncodedTask`.
        known_classes: of the generator; its encoder and template are used.
        most: as in `read_tasks`.

    Raises:
        PromptError: as in `read_tasks` and `encode_tasks`.
        DataError: as in `read_tasks`.
    """
    if isinstance(prompts, EncodedTask):
        return EncodedPrompts([prompts], is_single=True, were_encoded=True)
    if isinstance(prompts, Iterable) and not isinstance(prompts, str | bytes):
        prompts = list(prompts)
        if prompts and all(isinstance(prompt, EncodedTask) for prompt in prompts):
            return EncodedPrompts(prompts, is_single=False, were_encoded=True)
    tasks, is_single = read_tasks(prompts, known_classes.names, most=most)
    encoded = encode_tasks(tasks, known_classes.encoder, known_classes.template, known_classes)
    return EncodedPrompts(encoded, is_single, were_encoded=False)


def _read_notation(written: Sequence[str], known_names: Collection[str]) -> list[Any]:
    # One class alone is no task, so a single plain argument may be a sentence.
    if len(written) == 1:
        parsed = parse_notation(written[0], known_names)
        is_plain = not parsed.label and not parsed.files
        if is_plain and (classes := parse_sentence(parsed.words, known_names)) is not None:
            return list(classes)
    return [read_class(one, known_names=known_names) for one in written]
