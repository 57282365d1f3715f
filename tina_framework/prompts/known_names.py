"""Which known class a name means: spelling, plurals and synonyms, looked up among the names a generator was trained on."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tina_framework.interfaces.encoder import Encoder, KnowsWords
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.plurals import singular, singulars
from tina_framework.prompts.spelling import fold, is_typo
from tina_framework.prompts.synonyms import SYNONYM_GROUPS

__all__ = ["KnownNames", "has_synonyms", "match_known_names"]

_LEAST_LETTERS, _CLOSE, _CLEARLY = 4, 0.8, 0.05
"""Length and likeness (as `difflib` counts) below which a word is not taken for a misspelt name, and how far ahead the best has to be."""

_LONG = 10
"""Letters from which on a word may have more than one slip in it; shorter ones that are no nearer are mostly rare words (tricycle)."""

_ARTICLE = re.compile(r"(?:an?|the)\s+", re.IGNORECASE)


def _joined(name: str) -> str:
    """``fold`` without spaces: ``pick-up truck`` and ``pickup truck`` -> ``pickuptruck``."""
    return fold(name).replace(" ", "")


_GROUP_OF = {_joined(name): group for group in SYNONYM_GROUPS for name in group}


def has_synonyms(name: str) -> bool:
    """Whether a name, or what it may be the plural of, stands in the table of synonyms: a name, however many words it has."""
    return any(_joined(form) in _GROUP_OF for form in (name, *singulars(name)))


class KnownNames:
    """The names of classes that something was trained on.

    Args:
        names: none: nothing is known, and every name means itself.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = tuple(names)
        self._folded = frozenset(fold(name) for name in names)
        self._by_joined: dict[str, str] = {}
        # Spellings first: a class that is itself called as another's singular keeps its name.
        for spelling in (_joined, lambda name: _joined(singular(name))):
            for name in names:
                self._by_joined.setdefault(spelling(name), name)

    def __contains__(self, name: object) -> bool:
        """Whether it is a known name, whatever its case, hyphens and underscores."""
        return isinstance(name, str) and fold(name) in self._folded

    def find(self, name: str) -> str | None:
        """The known name that a name means; None where it means none, or is known itself.

        Tried in this order: another spelling, the singular, a synonym, a synonym of the singular; each without an article too.
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
        """The one known name that a word is a slip of the fingers away from; None where there is none, or two.

        For words that are nothing else: whether a word exists is the encoder's to say.
        """
        if not self._folded or len(name) < _LEAST_LETTERS:
            return None
        word = _joined(name)
        # Lengths alone rule most out, and comparing a whole description would take seconds.
        near = [
            known for known in self._by_joined if 2 * min(len(word), len(known)) >= _CLOSE * (len(word) + len(known))
        ]
        scored = [(difflib.SequenceMatcher(None, word, known).ratio(), known) for known in near]
        close = sorted((entry for entry in scored if entry[0] >= _CLOSE), reverse=True)
        names = list(dict.fromkeys(self._by_joined[known] for ratio, known in close if ratio > close[0][0] - _CLEARLY))
        if len(names) != 1:
            return None
        is_near = is_typo(word, close[0][1]) or min(len(word), len(close[0][1])) >= _LONG
        return names[0] if is_near else None


def match_known_names(prompts: Sequence[ClassPrompt], names: KnownNames, encoder: Encoder) -> dict[str, str]:
    """Text -> the known name that is meant: by another spelling, plural or synonym; or misspelt, where the encoder does not know the word.

    A slip is never taken for a class that the task has anyway, nor are two of them for the same one: these stay as they are.
    """
    texts = list(dict.fromkeys(text for prompt in prompts for text in prompt.texts))
    found = {text: meaning for text in texts if (meaning := names.find(text)) is not None}
    if not isinstance(encoder, KnowsWords):
        return found
    there = {fold(found.get(text, text)) for text in texts}
    slips = {
        text: name
        for text in texts
        if text not in found
        and text not in names
        and (name := names.find_misspelt(text))
        and encoder.unknown_words([text])
    }
    number = Counter(slips.values())
    return found | {text: name for text, name in slips.items() if number[name] == 1 and fold(name) not in there}
