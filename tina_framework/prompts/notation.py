"""How a class is written on one line, on the command line and in task files.

    apple                                       a name, or any words
    elephant=a large grey animal with a trunk   a label, and the words it is said with
    @pictures/bus                               pictures: files or a folder, which give the label too
    cat=@a.png,@b.png                           a label, and several files
    bus=bus+@pictures/bus                       words and pictures

The rules, so that no description is taken apart:

- ``=`` ends a label where no space stands on either side of it, or where ``@`` follows. The first one counts, and only before the
  first picture. Before it nothing need stand: ``=y=x`` is the words ``y=x``.
- ``@`` opens a picture at the start, after the ``=`` of a label, and after ``+`` or ``,`` (spaces may stand between).
- Words come first, then pictures. ``+`` and ``,`` without ``@`` behind them belong to the words, or to the path, they stand in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tina_framework.errors import DataError, PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.storage.files import home_path

__all__ = ["Notation", "parse_notation", "read_class"]

_NEXT_PICTURE = re.compile(r"\s*[+,]\s*@")
_END_OF_LABEL = re.compile(r"(?<!\s)=(?!\s+\S)|\s*=\s*(?=@)|^=")


@dataclass(frozen=True)
class Notation:
    """One class as it was written.

    Attributes:
        label: empty: to be taken from the words, or from the picture's name.
        words: a name or a description; empty: none.
        files: pictures and folders.
    """

    label: str
    words: str = ""
    files: tuple[str, ...] = ()


def parse_notation(written: str) -> Notation:
    """Takes one class apart; see the module for the rules. Looks at no file.

    Raises:
        PromptError: a label with nothing behind it, or an ``@`` without a path.
    """
    label, said = "", written
    first = _NEXT_PICTURE.search(written)
    end = _END_OF_LABEL.search(written, 0, len(written) if first is None else first.start())
    if end is not None and not written.lstrip().startswith("@"):
        label, said = written[: end.start()].strip(), written[end.end() :]
        if not said.strip():
            raise PromptError(
                f"'{written}' says nothing behind its '='; write LABEL=WORDS, LABEL=@PICTURE, or the name alone."
            )
    if said.lstrip().startswith("@"):
        words, pictures = "", said.lstrip()[1:]
    elif (opening := _NEXT_PICTURE.search(said)) is not None:
        words, pictures = said[: opening.start()], said[opening.end() :]
    else:
        return Notation(label, said)
    files = tuple(file.strip() for file in _NEXT_PICTURE.split(pictures))
    if not all(files):
        raise PromptError(f"'{written}' has an '@' with no path behind it; write @FILE or @FOLDER.")
    return Notation(label, words.strip(), files)


def read_class(written: str, folder: Path | None = None) -> str | ClassPrompt:
    """One class from its line, its pictures read; plain words stay a string.

    Args:
        written: see the module.
        folder: what paths are relative to; None: the working folder.

    Raises:
        PromptError: as `parse_notation`; several pictures without a label; a folder without pictures, or with too many.
        DataError: a file is missing, damaged, too large or no picture.
    """
    parsed = parse_notation(written)
    if not parsed.files:
        return ClassPrompt(parsed.label, (parsed.words,)) if parsed.label else parsed.words
    from tina_framework.prompts.pictures import read_pictures

    paths = [_existing(file, written, folder) for file in parsed.files]
    label = parsed.label or parsed.words
    if not label and len(paths) > 1:
        raise PromptError(f"'{written}' has several pictures and no label; write LABEL={written}.")
    if not label:
        whole = paths[0].resolve()
        label = whole.name if whole.is_dir() else whole.stem
    return ClassPrompt(label, (parsed.words,) if parsed.words else (), read_pictures(paths))


def _existing(file: str, written: str, folder: Path | None) -> Path:
    path = home_path(file)
    path = path if folder is None else folder / path
    try:
        if path.exists():
            return path
    except OSError as error:
        raise DataError(f"Picture '{path}' cannot be read ({error.strerror}); check the path.") from error
    hint = "check the path"
    if "+" in file:
        hint = "check the path, and write words before the pictures (bus=bus+@FOLDER)"
    elif "," in file:
        hint = "check the path, and write @ before every file (cat=@a.png,@b.png)"
    raise DataError(f"Picture '{path}' of the class '{written}' does not exist; {hint}.")
