"""Names of classes: one spelling for names that look the same, and no characters that could harm a terminal.

Every name passes through here where it enters: from prompts, task files, data sets and saved folders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tina_framework.errors import DataError, PromptError, TinaError, shorten

__all__ = [
    "MAX_NAMES",
    "MAX_NAME_LENGTH",
    "MAX_TEXT_LENGTH",
    "check_lengths",
    "checked_names",
    "fold",
    "name_fault",
    "normalize_name",
]

MAX_NAME_LENGTH = 200
"""Maximum number of characters of a class name."""

MAX_TEXT_LENGTH = 10_000
"""Maximum number of characters of a description or sentence. Encoders read a few dozen words at most."""

MAX_NAMES = 100_000
"""Maximum number of classes of a data set or folder. The largest public set of labelled pictures has 21,841."""

# The Unicode property Default_Ignorable_Code_Point: characters that are not displayed.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Those that change nothing in the text around them. Joiners, variation selectors and tags shape letters and emojis.
_MEANINGLESS = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2060-\u2064\u3164\ufeff\uffa0]")
# Control characters, lone surrogates, and characters that reverse the order in which the following text is displayed.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_SEPARATORS = re.compile("[\\s_\\-\u2010\u2011]+")


def normalize_name(text: str) -> str:
    """Return a name or description in Unicode's form NFC, with single spaces, and without characters that change nothing.

    Zero-width spaces, soft hyphens and direction marks are removed. Joiners and variation selectors stay, because some
    scripts and emojis need them. Plain ASCII text with single spaces is returned unchanged.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _MEANINGLESS.sub("", text))
    return " ".join(text.split())


def fold(name: str) -> str:
    """Return what tells names apart: in lower case, with single spaces, in the form NFC, without invisible characters.

    ``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``.
    """
    # The same names are compared again and again. Descriptions are not kept, because they may be long.
    return _folded_name(name) if len(name) <= MAX_NAME_LENGTH else _folded(name)


def _folded(name: str) -> str:
    if not name.isascii():
        name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    # Lower case may decompose letters again.
    folded = name.casefold() if name.isascii() else unicodedata.normalize("NFC", name.casefold())
    return " ".join(_SEPARATORS.split(folded)).strip()


_folded_name = lru_cache(maxsize=8192)(_folded)


def name_fault(text: str, longest: int = MAX_NAME_LENGTH) -> str | None:
    """Return why a normalised name or description cannot be used, as words after "it"; None if it can.

    Args:
        text: from `normalize_name`.
        longest: the most characters to allow.
    """
    if len(text) > longest:
        return f"has {len(text):,} characters, but at most {longest:,} are allowed"
    if found := _HARMFUL.search(text):
        kind = "control" if unicodedata.category(found[0]) in ("Cc", "Cs") else "direction"
        return f"has the {kind} character {found[0]!a}"
    return None if _INVISIBLE.sub("", text) else "is empty"


def check_lengths(texts: Sequence[str]) -> None:
    """Check that an encoder can read texts in a short time.

    Raises:
        PromptError: a text has more than `MAX_TEXT_LENGTH` characters.
    """
    for text in texts:
        if len(text) > MAX_TEXT_LENGTH:
            raise PromptError(
                f"A text has {len(text):,} characters, but at most {MAX_TEXT_LENGTH:,} are allowed; shorten it."
            )


def checked_names(names: Any, source: str, error: type[TinaError] = DataError) -> tuple[str, ...]:
    """Return the class names of a data set or folder, normalised.

    Args:
        names: a list, tuple or array of names.
        source: where they are from, to begin the message: ``'config.json': class_names``.
        error: what to raise.

    Raises:
        TinaError: of the type `error`: the value is not a list of names, a name has a control character or is empty or too
            long, or two names are the same.
    """
    names = names.tolist() if hasattr(names, "tolist") else names
    if isinstance(names, str | bytes) or not isinstance(names, Sequence) or not names:
        raise error(f"{source} is {shorten(names)}, not a list of names.")
    if len(names) > MAX_NAMES:
        raise error(f"{source} has {len(names):,} names, but at most {MAX_NAMES:,} are allowed.")
    first: dict[str, int] = {}
    found = []
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise error(f"{source}: number {number + 1} is {shorten(name)}, not a name.")
        plain = normalize_name(name[: MAX_TEXT_LENGTH + 1])
        if fault := name_fault(plain):
            raise error(f"{source}: the name {shorten(ascii(name)[1:-1])} {fault}; rename it.")
        if (before := first.setdefault(_INVISIBLE.sub("", plain), number)) != number:
            raise error(f"{source} has the name {shorten(plain)} twice (numbers {before + 1} and {number + 1}).")
        found.append(plain)
    return tuple(found)
