"""Compare spellings: ignore case and separators, and recognise a typing mistake."""

from __future__ import annotations

import re

__all__ = ["fold", "is_typo"]


def fold(name: str) -> str:
    """Return a name in lower case with single spaces: ``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def is_typo(word: str, name: str) -> bool:
    """Whether a word equals a name or differs by one typing mistake.

    That is one letter too many, missing or wrong, or two adjacent letters in the wrong order.
    """
    if abs(len(word) - len(name)) > 1:
        return False
    start = 0
    while start < min(len(word), len(name)) and word[start] == name[start]:
        start += 1
    a, b = word[start:], name[start:]
    swapped = len(a) == len(b) > 1 and a[:2] == b[1::-1] and a[2:] == b[2:]
    return a == b or a[1:] == b[1:] or a[1:] == b or a == b[1:] or swapped
