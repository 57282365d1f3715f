"""Suggest known names that resemble a misspelt one: the only place that compares spellings for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]

_MAX_LENGTH = 100
"""Maximum number of characters of a name that is compared. The time grows with the square of the length."""

_MAX_KNOWN = 5000
"""Maximum number of names to compare with. Comparing with all names of a large table would take seconds."""


def did_you_mean(name: str, known: Iterable[str], *, fold_case: bool = False) -> str:
    """Return ``" Did you mean 'x'?"``, to be appended to a sentence, or an empty string if no known name is close.

    Args:
        name: what the user wrote.
        known: the names that exist.
        fold_case: compare `name` in lower case, for names that are written in lower case.
    """
    found = closest(name.lower() if fold_case else name, known)
    return f" Did you mean '{found[0]}'?" if found else ""


def closest(name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return up to `count` known names that resemble `name`, the most similar first; none for a very long name.

    Args:
        name: what the user wrote.
        known: the names that exist.
        count: how many to return at most.
        cutoff: smallest similarity, from 0 (anything) to 1 (equal); the ratio of `difflib.SequenceMatcher`.
    """
    if len(name) > _MAX_LENGTH:
        return []
    # Lengths bound the similarity, so they exclude most names without comparing letters.
    near = [one for one in known if 2 * min(len(name), len(one)) >= cutoff * (len(name) + len(one))]
    if len(near) > _MAX_KNOWN:
        near = [one for one in near if one[:1] == name[:1]][:_MAX_KNOWN]
    return difflib.get_close_matches(name, near, n=count, cutoff=cutoff)
