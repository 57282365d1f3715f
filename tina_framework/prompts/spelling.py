"""Recognise a typing mistake."""

from __future__ import annotations

__all__ = ["is_typo"]


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
