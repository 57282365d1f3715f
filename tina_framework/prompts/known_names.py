"""Find the known class that a name means, by spelling, plural, synonym or typing mistake.

Known classes are those that a generator was trained on.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.encoder import Encoder, KnowsWords
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.plurals import singular, singulars
from tina_framework.prompts.spelling import is_typo
from tina_framework.prompts.synonyms import SYNONYM_GROUPS

__all__ = ["KnownNames", "has_synonyms", "match_known_names"]

_MIN_LETTERS = 4
"""Shorter words are not taken for misspelt names, because too many other words are similar."""

_MIN_RATIO = 0.8
"""Least similarity (`difflib.SequenceMatcher.ratio`) of a misspelt name."""

_MIN_LEAD = 0.05
"""Names whose similarity is this close to the best one make a typing mistake ambiguous."""

_MAX_LETTERS = 50
"""Longer texts are descriptions. Comparing them letter by letter would take long."""

_LONG_WORD = 10
"""Letters from which a word may have several typing mistakes. Shorter ones are mostly other words, such as tricycle."""

_ARTICLE = re.compile(r"(?:an?|the)\s+", re.IGNORECASE)


def _joined(name: str) -> str:
    """Return the folded name without spaces: ``pick-up truck`` and ``pickup truck`` -> ``pickuptruck``."""
    return fold(name).replace(" ", "")


_GROUP_OF = {_joined(name): group for group in SYNONYM_GROUPS for name in group}


def has_synonyms(name: str) -> bool:
    """Whether a name or its singular is in the table of synonyms. Such a name is one thing, even if it has several words."""
    return any(_joined(form) in _GROUP_OF for form in (name, *singulars(name)))


class KnownNames:
    """A lookup among the names of known classes.

    Args:
        names: the known names; may be empty.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = tuple(names)
        self._folded = frozenset(fold(name) for name in names)
        self._by_joined: dict[str, str] = {}
        # Names come before singulars: the class "glass" must not be found as the singular of the class "glasses".
        for spelling in (_joined, lambda name: _joined(singular(name))):
            for name in names:
                self._by_joined.setdefault(spelling(name), name)

    def __contains__(self, name: object) -> bool:
        """Whether a name is known, apart from case, hyphens and underscores."""
        return isinstance(name, str) and fold(name) in self._folded

    def find(self, name: str) -> str | None:
        """Return the known name that another name means; None if there is none, or if the name is known itself.

        The order of the search is: another spelling, the singular, a synonym, a synonym of the singular. A leading article is
        ignored.
        """
        if not self._folded or name in self:
            return None
        bare = _ARTICLE.sub("", fold(name), count=1) if _ARTICLE.match(fold(name)) else fold(name)
        forms = (bare, *singulars(bare))
        for form in forms:
            if (found := self._by_joined.get(_joined(form))) is not None:
                return found
        for form in forms:
            for other in _GROUP_OF.get(_joined(form), ()):
                if (found := self._by_joined.get(_joined(other))) is not None:
                    return found
        return None

    def find_misspelt(self, name: str) -> str | None:
        """Return the known name that a word is a misspelling of; None if there is none, or more than one.

        Call it only for words that do not exist. The encoder can tell (`KnowsWords`).
        """
        if not self._folded or not _MIN_LETTERS <= len(name) <= _MAX_LETTERS:
            return None
        word = _joined(name)
        # Compare lengths first: they exclude most names, and comparing a long description with all names takes seconds.
        near = [
            known
            for known in self._by_joined
            if 2 * min(len(word), len(known)) >= _MIN_RATIO * (len(word) + len(known))
        ]
        scored = [(difflib.SequenceMatcher(None, word, known).ratio(), known) for known in near]
        close = sorted((entry for entry in scored if entry[0] >= _MIN_RATIO), reverse=True)
        names = list(dict.fromkeys(self._by_joined[known] for ratio, known in close if ratio > close[0][0] - _MIN_LEAD))
        if len(names) != 1:
            return None
        is_near = is_typo(word, close[0][1]) or min(len(word), len(close[0][1])) >= _LONG_WORD
        return names[0] if is_near else None


def match_known_names(prompts: Sequence[ClassPrompt], names: KnownNames, encoder: Encoder) -> dict[str, str]:
    """Return text -> known name, for all texts of a task that mean a known name but are spelled differently.

    These are other spellings, plurals and synonyms. Misspelt names are found only if the encoder can tell that a word does
    not exist. A text is not corrected if its task already has that class, or if two texts would become the same class.

    Args:
        prompts: the classes of one task.
        names: the known names.
        encoder: encodes the texts.
    """
    texts = list(dict.fromkeys(text for prompt in prompts for text in prompt.texts))
    found = {text: meaning for text in texts if (meaning := names.find(text)) is not None}
    if not isinstance(encoder, KnowsWords):
        return found
    already_named = {fold(found.get(text, text)) for text in texts}
    misspelt = {
        text: name
        for text in texts
        if text not in found
        and text not in names
        and (name := names.find_misspelt(text))
        and encoder.unknown_words([text])
    }
    count = Counter(misspelt.values())
    return found | {
        text: name for text, name in misspelt.items() if count[name] == 1 and fold(name) not in already_named
    }
