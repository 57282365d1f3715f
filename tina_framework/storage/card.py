"""Model cards: the `README.md` of a model folder, with the metadata that the Hugging Face Hub reads.

A card that this package wrote ends with a comment that holds a hash of the text before it. So a card that somebody edited is
recognised, and it is kept when the folder is written again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tina_framework.errors import printable
from tina_framework.storage.text import read_text

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

__all__ = [
    "CARD",
    "UNKNOWN_LICENSE",
    "as_code",
    "as_line",
    "block",
    "card_license",
    "keep_edited_card",
    "license_id",
    "was_edited",
    "write_card",
]

CARD = "README.md"

UNKNOWN_LICENSE = "unknown"
"""The Hub's word for a licence that nobody has stated."""

_MAX_LENGTH = 500
"""Maximum number of characters of a name or setting in a line."""

_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|&~]")
_SEAL = re.compile(r"<!-- Written by tina-framework; if you edit this card, it is kept\. (?P<hash>[0-9a-f]{64}) -->\s*")


def write_card(metadata: ModelCardData, lines: Sequence[str]) -> str:
    """Return a card as Markdown.

    Args:
        metadata: what the Hub reads.
        lines: the text below.
    """
    text = "\n".join(["---", metadata.to_yaml(), "---", "", *lines]) + "\n"
    return f"{text}\n<!-- Written by tina-framework; if you edit this card, it is kept. {_hash(text)} -->\n"


def was_edited(path: Path) -> bool:
    """Return whether a card exists that this package did not write, or that was changed since."""
    try:
        if not path.is_file():
            return False
        body, _, last = read_text(path).rstrip().rpartition("\n")
    except (OSError, ValueError):
        return True
    seal = _SEAL.fullmatch(last)
    return seal is None or seal["hash"] != _hash(body)


def license_id(value: object) -> str | None:
    """Return a licence in the Hub's spelling (``apache-2.0`` for ``Apache-2.0``), or None if it is unknown or no identifier."""
    found = value.lower() if isinstance(value, str) else UNKNOWN_LICENSE
    return found if found != UNKNOWN_LICENSE and re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,63}", found) else None


def card_license(path: Path) -> str | None:
    """Return the licence that the metadata of a card state, or None."""
    try:
        _, *parts = re.split(r"^---\s*$", read_text(path), flags=re.MULTILINE)
    except (OSError, ValueError):
        return None
    found = re.search(r"^license:\s*(\S+)\s*$", parts[0], re.MULTILINE) if parts else None
    return None if found is None else license_id(found[1].strip("'\""))


def keep_edited_card(old: Path, new: Path) -> None:
    """Copy the cards of a folder into the folder that replaces it, where they were edited and the new ones were not.

    Args:
        old: the folder that will be replaced; it may be missing. It may also hold numbered folders of models.
        new: the folder that takes its place.
    """
    for card in [new / CARD, *new.glob(f"*/{CARD}")]:
        before = old / card.relative_to(new)
        if card.is_file() and not was_edited(card) and was_edited(before):
            card.write_bytes(before.read_bytes())


def _hash(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()


# Names and settings may come from strangers. A card is shown as a web page, so they must not be read as HTML or Markdown.
def block(text: str) -> str:
    """Return the text of a code block: on a page it shows the same, but nothing in it can end the block."""
    return text.replace("`", "\\u0060")


def as_line(value: object) -> str:
    """Return a value for a line or cell of Markdown."""
    text = printable(" ".join(str(value).split()))[:_MAX_LENGTH]
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", text)


def as_code(value: object) -> str:
    """Return a value as code in a line or cell of Markdown."""
    text = printable(" ".join(str(value).split()))[:_MAX_LENGTH].replace("`", "'")
    # In a code span, only a pipe has a meaning: it would end the cell of a table.
    return f"`{text}`" if "|" not in text else f"<code>{as_line(text)}</code>"
