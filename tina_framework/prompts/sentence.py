"""Read a whole task from one sentence: ``tell apples from bears and buses`` -> apple, bear, bus.

It uses patterns and no language model. A sentence with two possible readings is refused, and the message shows one of them.
For example, "salt and pepper shakers" may be two classes or one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tina_framework.errors import PromptError, shorten
from tina_framework.interfaces.class_names import MAX_TEXT_LENGTH, name_fault, normalize_name
from tina_framework.prompts.known_names import KnownNames, has_synonyms
from tina_framework.prompts.limits import check_class_count
from tina_framework.prompts.plurals import singular, singulars

__all__ = ["EXAMPLE", "classes_of", "parse_sentence"]

EXAMPLE = "tell apples from bears and buses"

_PICTURES = r"(?:pictures|images|photos|photographs)"
_LEAD = re.compile(
    r"(?:please|kindly|can you|could you|i (?:want|need|would like)(?: you)? to|help me(?: to)?|let me|how to|learn to|"
    r"(?P<model>(?:(?:make|write|build|generate|give|i want|i need)\s+)?(?:me\s+)?(?:an?|the)\s+(?:(?:image|picture)\s+)?"
    r"(?:classifier|model|network)\s+(?:that|which|to|for)(?:\s+(?:can|could|will))?))\b\s*",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"(?:tell(?:s|ing)?|distinguish(?:es|ing)?|separat(?:es?|ing)|differentiat(?:es?|ing)|discriminat(?:es?|ing)|"
    r"classif(?:y|ies|ying)|recogni[sz](?:es?|ing)|identif(?:y|ies|ying)|sort(?:s|ing)?|know(?:s|ing)?)\s+",
    re.IGNORECASE,
)
_AFTER_VERB = re.compile(
    rf"(?:me\s+|apart\s+|the difference\s+|between\s+|whether\s+|if\s+|(?:it|this|that|something)\s+(?:is|shows)\s+|"
    rf"{_PICTURES}\s+(?:of|as|into|with)\s+|(?:into|as)\s+)+",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:which|what)\b[^:]*:\s*|(?:is|are)\s+(?:it|this|that|these|they)(?:\s+picture)?\s+(?:of\s+)?", re.IGNORECASE
)
_TAIL = re.compile(rf"\s+(?:apart|(?:from )?each other|from one another|(?:in|on) (?:my )?{_PICTURES})$", re.IGNORECASE)
_CHOICE = re.compile(r"(?:either|both)\s+", re.IGNORECASE)
_OF_PICTURES = re.compile(rf"(?:an?\s+)?(?:{_PICTURES}|picture|image|photo)\s+(?:of|with|showing)\s+", re.IGNORECASE)
_ARTICLE = re.compile(r"(an?|the|some)\s+", re.IGNORECASE)

_SEPARATORS = (
    ("comma and", r"\s*,\s*(?:and|or|&)\s+"),
    ("comma", r"\s*[,;]\s*"),
    ("and", r"\s+(?:and/or|and|or|&)\s+"),
    ("versus", r"\s+(?:vs\.?|versus)\s+|\s*\|\s*"),
)
_FROM = ("from", r"\s+from\s+")
_FIRM = frozenset({"from", "versus"})
"""Separators that always end a name or description."""

_JOINING = re.compile(
    r"\b(?:with|without|of|that|which|who|in|on|at|by|for|from|to|having|made|like|and|or|than)\b", re.IGNORECASE
)
_MARK = re.compile("\0\\d+q?\0")
_QUOTED = re.compile(r'["“]([^"“”]+)["”]')
_REST = frozenset(
    {
        "everything else",
        "anything else",
        "something else",
        "the rest",
        "rest",
        "others",
        "other things",
        "so on",
        "etc",
        "none",
    }
)


@dataclass(frozen=True)
class _Item:
    """The text between two separators.

    Attributes:
        text: without the article.
        article: ``a``, ``the`` or another one; may be empty.
        before: kind of the separator before it; empty at the start.
        after: kind of the separator after it; empty at the end.
        quoted: the text was in quotation marks, so it is one name and is not changed.
    """

    text: str
    article: str
    before: str
    after: str
    quoted: bool = False


def parse_sentence(sentence: str, known: Collection[str] = ()) -> tuple[str, ...] | None:
    """Return the class names in a sentence, in their order and in the singular; None if it is not about classes.

    Args:
        sentence: for example "tell A from B, C and D", "is it A or B", "A, B and C", "A vs B" or "classify A, B and C".
        known: names of known classes. They help to find names of several words, and the singular that is meant.

    Raises:
        PromptError: the sentence can be read in more than one way, names fewer than two classes or too many, has control
            characters, or is too long.
    """
    plain = normalize_name(sentence) if len(sentence) <= MAX_TEXT_LENGTH else sentence
    fault = name_fault(plain, MAX_TEXT_LENGTH)
    if fault and plain:
        raise PromptError(f"The prompt {fault}; write a shorter, plain sentence, such as '{EXAMPLE}'.")
    sentence = shorten(plain, 160)
    names = KnownNames(known)
    body, has_verb = _opened(plain.rstrip(" .!?"))
    if body in names:
        return None
    items = _items(body, has_verb, [name for name in known if _JOINING.search(name) or "," in name])
    if not has_verb and (len(items) < 2 or not any(item.text for item in items)):
        return None
    check_class_count(len(items))
    reading = tuple(_class_name(item, names) for item in items)
    if len(items) < 2:
        raise PromptError(
            f"{sentence} names one class ({shorten(reading[0])[1:-1]}); name at least two, as in '{EXAMPLE}'."
        )
    for item in items:
        if item.text.lower() in _REST:
            raise PromptError(
                f"{sentence} has '{item.text}' as a class, which names nothing that can be shown; name the other classes."
            )
    if not all(item.text for item in items):
        raise PromptError(f"{sentence} lacks a class between two separators; add a name there, as in '{EXAMPLE}'.")
    if _is_ambiguous(items, names):
        raise PromptError(
            f"{sentence} can be read in more than one way, such as {shorten(' | '.join(reading), 160)[1:-1]}; give separate names."
        )
    return reading


def classes_of(sentence: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the class names in a sentence as `parse_sentence` does, but refuse a text that is not about classes.

    Raises:
        PromptError: the text is not a sentence about classes; or as in `parse_sentence`.
    """
    classes = parse_sentence(sentence, known)
    if classes is None:
        raise PromptError(
            f"The prompt {shorten(sentence)} is no sentence about classes; write one, such as '{EXAMPLE}', or give a list of class "
            "names."
        )
    return classes


def _opened(text: str) -> tuple[str, bool]:
    """Return the list part of a sentence, without the request and the verb; and whether there was a verb."""
    has_verb = False
    while (lead := _LEAD.match(text)) and lead.end() < len(text):
        text, has_verb = text[lead.end() :], has_verb or lead["model"] is not None
    for opening in (_VERB, _QUESTION):
        if found := opening.match(text):
            text, has_verb = text[found.end() :], True
            break
    if has_verb:
        text = _AFTER_VERB.sub("", text, count=1) if _AFTER_VERB.match(text) else text
        text = _TAIL.sub("", text)
    return _CHOICE.sub("", text, count=1) if _CHOICE.match(text) else text, has_verb


def _items(body: str, has_verb: bool, whole: Sequence[str]) -> list[_Item]:
    """Split a list into its items.

    Args:
        body: the list.
        has_verb: whether the sentence has a verb; only then "from" is a separator.
        whole: known names that contain a separator and must not be split.
    """
    # Quoted and known names are replaced by marks, which no separator matches, and put back by `_item`.
    kept: dict[str, str] = {}

    def keep(match: re.Match[str]) -> str:
        kept[mark := f"\0{len(kept)}q\0"] = match[1].strip()
        return mark

    body = _QUOTED.sub(keep, body)
    for number, name in enumerate(sorted(whole, key=len, reverse=True)):
        mark = f"\0{number}\0"
        body, count = re.subn(rf"(?<!\w){re.escape(name)}(?:e?s)?(?!\w)", mark, body, flags=re.IGNORECASE)
        kept |= {mark: name} if count else {}
    kinds = (*_SEPARATORS, _FROM) if has_verb else _SEPARATORS
    pattern = re.compile("|".join(f"({text})" for _, text in kinds), re.IGNORECASE)
    parts, between, start = [], [""], 0
    for match in pattern.finditer(body):
        parts.append(body[start : match.start()])
        between.append(kinds[(match.lastindex or 1) - 1][0])
        start = match.end()
    parts.append(body[start:])
    between.append("")
    return [_item(part, kept, before, after) for part, before, after in zip(parts, between, between[1:], strict=False)]


def _item(part: str, kept: dict[str, str], before: str, after: str) -> _Item:
    text = _OF_PICTURES.sub("", part.strip(), count=1) if _OF_PICTURES.match(part.strip()) else part.strip()
    article = _ARTICLE.match(text)
    text = text if article is None else text[article.end() :]
    quoted = text in kept and text.endswith("q\0")
    text = _MARK.sub(lambda mark: kept[mark[0]], text)
    return _Item(text, "" if article is None else article[1].lower(), before, after, quoted)


def _class_name(item: _Item, known: KnownNames) -> str:
    """Return the singular: a known one if there is any, else the most likely one. A text after ``a`` is not changed."""
    if item.quoted or item.text in known or item.article in ("a", "an") or _JOINING.search(item.text):
        return item.text
    forms = (*singulars(item.text), item.text)
    candidates = [form for form in forms if form in known] + [form for form in forms if known.find(form) is not None]
    return candidates[0] if candidates else singular(item.text)


def _is_ambiguous(items: Sequence[_Item], known: KnownNames) -> bool:
    if [item.after for item in items].count("from") > 1:
        return True
    has_and = any("and" in item.after for item in items)
    articles = {bool(item.article) for item in items if not {item.before, item.after} <= {*_FIRM, ""}}
    for number, item in enumerate(items):
        around = {item.before, item.after} - {""}
        if " " not in item.text or item.quoted or around <= _FIRM or _is_name(item.text, known):
            continue
        if _JOINING.search(item.text):
            return True  # "an animal with a trunk and a tail"
        if "comma" in around and (len(articles) > 1 or not has_and):
            return True  # "a large, grey animal"
        # A word beside "and" may belong to both items, unless each item has its own article.
        pairs = [items[at : at + 2] for at in (number - 1, number) if at >= 0 and items[at].after == "and"]
        if any(not all(side.article for side in pair) for pair in pairs):
            return True  # "salt and pepper shakers", "red apples and pears"
    return False


def _is_name(text: str, known: KnownNames) -> bool:
    return text in known or known.find(text) is not None or has_synonyms(text)
