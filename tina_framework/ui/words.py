"""Read the words that a person typed: classes, one a line or separated by commas."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tina_framework.errors import PromptError, shorten
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.build import text
from tina_framework.prompts.notation import parse_notation
from tina_framework.prompts.read import read_tasks
from tina_framework.ui.limits import MAX_CLASSES

__all__ = ["read_words"]


def read_words(written: str, known_names: Collection[str] = ()) -> list[Any]:
    """Return the classes of a task, for `tina_framework.prompts.encoded_task.encode_tasks`.

    Lines and commas separate classes. A line such as ``elephant=a large, grey animal`` is one class with a description.
    A single line without commas may be a sentence: "tell apples from bears". Paths of files are refused, because the text comes
    from a browser.

    Args:
        written: what the person typed.
        known_names: the classes that the generator was trained on.

    Raises:
        PromptError: there are no words, too many classes, or a class cannot be read.
    """
    entries = [entry for line in written.splitlines() for entry in _of_line(line, known_names)]
    if not entries:
        raise PromptError("There are no words yet; type at least two classes, such as: apple, bear, bus.")
    if len(entries) > MAX_CLASSES:
        raise PromptError(f"{len(entries)} classes were typed, but this page makes at most {MAX_CLASSES}; remove some.")
    is_sentence = len(entries) == 1 and isinstance(entries[0], str) and " " in entries[0]
    [task], _ = read_tasks(entries[0] if is_sentence else entries, known_names)
    return task


def _of_line(line: str, known_names: Collection[str]) -> list[Any]:
    names = {fold(name) for name in known_names}
    if "=" not in line or fold(line.strip()) in names:
        return [part for part in (_plain(part) for part in line.split(",")) if part]
    parsed = parse_notation(line.strip(), known_names)
    if parsed.files:
        raise _names_a_file(line)
    if not parsed.label:
        return [_plain(parsed.words)]
    if "," in parsed.label:
        raise PromptError(
            f"{shorten(line.strip())} has commas before its '='; write each description on a line of its own."
        )
    return [text(parsed.words, label=parsed.label)]


def _plain(part: str) -> str:
    part = part.strip()
    if part.startswith("@"):
        raise _names_a_file(part)
    return part


def _names_a_file(written: str) -> PromptError:
    return PromptError(
        f"{shorten(written.strip())} names a file, and this page opens none; drop pictures on the page instead."
    )
