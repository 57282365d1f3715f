"""The notation of a class on the command line and in task files.

    apple                                       a name, or any words
    elephant=a large grey animal with a trunk   a label and a description
    @pictures/bus                               a file or folder of pictures, whose name is the label
    cat=@a.png,@b.png                           a label and several files
    bus=bus+@pictures/bus                       a label, words and pictures

The rules keep descriptions with these characters in one piece:

- ``=`` ends a label if there is no space on either side of it, or if ``@`` follows. Only the first ``=`` counts, and only before
  the first picture. The label may be empty: ``=y=x`` means the words ``y=x``.
- ``@`` starts a path at the beginning, after the ``=`` of a label, and after ``+`` or ``,`` (with or without spaces between).
- A known class name that holds ``=`` is matched first: if ``y=x`` is known, ``y=x`` is that name and ``y=x=WORDS`` describes it.
- Words come before pictures. ``+`` and ``,`` without a following ``@`` are part of the words or of the path.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tina_framework.errors import DataError, PromptError, shorten
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.storage.paths import user_path

__all__ = ["Notation", "after_known_name", "parse_notation", "read_class"]

# A run of spaces is tried once, from its start: trying it from each space would take minutes for a long run.
_NEXT_PICTURE = re.compile(r"(?<!\s)\s*[+,]\s*@")
_END_OF_LABEL = re.compile(r"(?<!\s)=(?!\s+\S)|(?<!\s)\s*=\s*(?=@)|^=")


@dataclass(frozen=True)
class Notation:
    """The parts of a class in this notation.

    Attributes:
        label: what the classifier answers; empty if the words or the path give it.
        words: a name or a description; may be empty.
        files: paths of pictures and folders.
    """

    label: str
    words: str = ""
    files: tuple[str, ...] = ()


def after_known_name(written: str, known_names: Collection[str]) -> tuple[str, str] | None:
    """Split ``NAME=REST`` after the longest known name. The name may hold ``=``.

    Returns:
        The known name and the rest, or None if `written` begins with no known name and ``=``.
    """
    known = {fold(name): name for name in known_names}
    # No name can end much later than the longest one, and the text may be long.
    head = written[: 2 * max(map(len, known_names), default=0) + 16]
    for place in reversed([found.start() for found in re.finditer("=", head)]):
        name = known.get(fold(written[:place]))
        if name is not None:
            return name, written[place + 1 :]
    return None


def parse_notation(written: str, known_names: Collection[str] = ()) -> Notation:
    """Split one class into its parts, without reading files. The rules are in the module's docstring.

    Args:
        written: the class.
        known_names: the classes that the generator was trained on.

    Raises:
        PromptError: nothing follows a label, or an ``@`` has no path.
    """
    label, rest = "", written
    special = [name for name in known_names if "=" in name]
    if special and fold(written) in map(fold, special):
        return Notation("", written)
    # A path may contain "=", so a label is searched only before the first picture.
    first = _NEXT_PICTURE.search(written)
    end = _END_OF_LABEL.search(written, 0, len(written) if first is None else first.start())
    if (known := after_known_name(written, special)) is not None:
        label, rest = known
    elif end is not None and not written.lstrip().startswith("@"):
        label, rest = written[: end.start()].strip(), written[end.end() :]
    if rest != written and not rest.strip():
        raise PromptError(
            f"{shorten(written)} has nothing after its '='; write LABEL=WORDS, LABEL=@PICTURE, or the name alone."
        )
    if rest.lstrip().startswith("@"):
        words, pictures = "", rest.lstrip()[1:]
    elif (opening := _NEXT_PICTURE.search(rest)) is not None:
        words, pictures = rest[: opening.start()], rest[opening.end() :]
    else:
        return Notation(label, rest)
    files = tuple(file.strip() for file in _NEXT_PICTURE.split(pictures))
    if not all(files):
        raise PromptError(f"{shorten(written)} has an '@' without a path; write @FILE or @FOLDER.")
    return Notation(label, words.strip(), files)


def read_class(written: str, folder: Path | None = None, known_names: Collection[str] = ()) -> str | ClassPrompt:
    """Read one class and its pictures. Plain words are returned as a string.

    Args:
        written: a class in the notation of this module.
        folder: folder of relative paths; default: the working folder.
        known_names: as in `parse_notation`.

    Raises:
        PromptError: as in `parse_notation`; or several pictures have no label; or a folder has no picture or too many.
        DataError: a file is missing, damaged, too large or not a picture.
    """
    parsed = parse_notation(written, known_names)
    if not parsed.files:
        return ClassPrompt(parsed.label, (parsed.words,)) if parsed.label else parsed.words
    from tina_framework.prompts.pictures import read_pictures

    paths = [_existing(file, written, folder) for file in parsed.files]
    label = parsed.label or parsed.words
    if not label and len(paths) > 1:
        raise PromptError(
            f"{shorten(written)} has several pictures but no label; write LABEL={shorten(written)[1:-1]}."
        )
    if not label:
        whole = paths[0].resolve()
        label = whole.name if whole.is_dir() else whole.stem
    return ClassPrompt(label, (parsed.words,) if parsed.words else (), read_pictures(paths))


def _existing(file: str, written: str, folder: Path | None) -> Path:
    path = user_path(file)
    path = path if folder is None else folder / path
    try:
        if path.exists():
            return path
    except OSError as error:
        raise DataError(
            f"Picture {shorten(str(path), 200)} cannot be read ({error.strerror}); check the path."
        ) from error
    hint = "check the path"
    if "+" in file:
        hint = "check the path, and write words before the pictures (bus=bus+@FOLDER)"
    elif "," in file:
        hint = "check the path, and write @ before every file (cat=@a.png,@b.png)"
    raise DataError(f"Picture {shorten(str(path), 200)} of the class {shorten(written)} does not exist; {hint}.")
