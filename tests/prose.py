"""List sentences and lines of Markdown that are too long to be read at once.

``python tests/prose.py FILE...`` prints one offender a line and returns 1 if there are any. What is read is prose: fenced
code, tables, HTML comments, HTML tags and the addresses of links are left out.

- A **sentence** ends at ``.``, ``!`` or ``?`` before white space, unless the next word begins in lower case or the last one
  is an abbreviation such as "e.g.". A heading, a list item and a paragraph end a sentence, too; a colon and a semicolon
  do not.
- A **word** is a run of characters without white space that holds a letter or a digit. Words in inline code count.
- The length of a **line** is that of the line without the addresses of its links.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MAX_WORDS = 30
MAX_LINE = 150
ABBREVIATIONS = frozenset({"e.g.", "i.e.", "cf.", "vs.", "al.", "fig.", "eq.", "no.", "approx.", "resp.", "sec."})

_FENCE = re.compile(r"\s*(```+|~~~+)")
_TABLE = re.compile(r"\s*\|")
_HEADING = re.compile(r"#{1,6}\s+")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")
_QUOTE = re.compile(r"\s*(?:>\s?)+")
_LINK_DEFINITION = re.compile(r"\s*\[[^\]]+\]:\s")
_LINK_ADDRESS = re.compile(r"\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_BARE_ADDRESS = re.compile(r"<?\bhttps?://[^\s>)]+>?")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_CODE = re.compile(r"(`+)(.+?)\1")
_END = re.compile(r"(?<=[.!?])[)\]\"'”’*_]*\s+(?=[^a-z\s])")


class Offender(NamedTuple):
    """One sentence or line that is too long: where it begins, what is wrong with it, and its text."""

    file: str
    line: int
    problem: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}: {self.text}"


class Passage(NamedTuple):
    """Text that no sentence leaves (a paragraph, a heading, a list item), with the line number of each character."""

    text: str
    lines: list[int]


def offenders(text: str, file: str = "") -> list[Offender]:
    """Return every sentence over `MAX_WORDS` words and every line over `MAX_LINE` characters, by line number."""
    lines = _prose_lines(text)
    found = [
        Offender(file, number, f"{len(line)} characters", _shortened(line))
        for number, line in enumerate(lines, start=1)
        if len(line) > MAX_LINE
    ]
    for passage in _passages(lines):
        for start, sentence in _sentences(passage.text):
            words = count_words(sentence)
            if words > MAX_WORDS:
                found.append(Offender(file, passage.lines[start], f"{words} words", _shortened(sentence)))
    return sorted(found, key=lambda offender: offender.line)


def sentences(text: str) -> list[str]:
    """Return the sentences of a Markdown text in order."""
    return [sentence for passage in _passages(_prose_lines(text)) for _, sentence in _sentences(passage.text)]


def count_words(sentence: str) -> int:
    return sum(any(character.isalnum() for character in word) for word in sentence.split())


def _prose_lines(text: str) -> list[str]:
    """Return the lines with everything blanked that is no prose. Line numbers stay what they were."""
    lines, fence = [], None
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence is None and mark:
            fence = mark.group(1)
        elif fence is not None:
            # The closing fence is at least as long as the opening one, and of the same character.
            fence = None if mark and line.strip().startswith(fence) else fence
        elif not _TABLE.match(line) and not _LINK_DEFINITION.match(line):
            lines.append(line)
            continue
        lines.append("")
    # Comments are taken out after code, as an example in a fence may show one.
    joined = re.sub(
        r"<!--.*?-->", lambda comment: "\n" * comment.group().count("\n"), "\n".join(lines), flags=re.DOTALL
    )
    joined = _LINK_ADDRESS.sub("]", joined)
    return [_TAG.sub("", _BARE_ADDRESS.sub("", line)).rstrip() for line in joined.split("\n")]


def _passages(lines: Sequence[str]) -> Iterator[Passage]:
    text, numbers = "", list[int]()
    for number, line in enumerate([*lines, ""], start=1):
        line = _QUOTE.sub("", line)
        heading, item = _HEADING.match(line), _ITEM.match(line)
        if text and (not line.strip() or heading or item):
            yield Passage(text, numbers)
            text, numbers = "", []
        mark = heading or item
        words = line[mark.end() :] if mark else line.strip()
        if words:
            piece = f" {words}" if text else words
            text, numbers = text + piece, numbers + [number] * len(piece)
        if heading:
            yield Passage(text, numbers)
            text, numbers = "", []


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place of the first character and the text of each sentence of a passage."""
    # A point within code ends nothing: `tina_framework/files.py`, `generator([...])`. Lengths stay what they were.
    masked = _CODE.sub(lambda code: re.sub(r"[.!?]", "_", code.group()), text)
    start = 0
    for end in _END.finditer(masked):
        last = masked[start : end.start()].rsplit(None, 1)[-1].lstrip("([\"'“").lower()
        if last in ABBREVIATIONS:
            continue
        yield start, text[start : end.end()].strip()
        start = end.end()
    if text[start:].strip():
        yield start, text[start:].strip()


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."


def main(files: Sequence[str]) -> int:
    found = [offender for file in files for offender in offenders(Path(file).read_text(encoding="utf-8"), file)]
    print("\n".join(str(offender) for offender in found) if found else "No sentence and no line is too long.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
