"""Read the nouns of WordNet 3.1 (files ``data.noun``, ``index.noun``, ``index.adj`` and so on), and weigh their senses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sense", "Senses", "read_nouns", "read_words", "weigh"]

# How likely a class of photographs is a thing of this kind. The numbers are those of WordNet's lexicographer files.
_KINDS = {
    "05": 1.0,  # animals
    "06": 0.9,  # artifacts
    "13": 0.7,  # food
    "20": 0.6,  # plants
    "08": 0.6,  # parts of the body
    "17": 0.6,  # natural objects
    "15": 0.4,  # places
    "19": 0.4,  # phenomena
    "03": 0.4,  # the most general nouns
    "25": 0.3,  # shapes
    "27": 0.25,  # substances
    "14": 0.2,  # groups
    "18": 0.15,  # persons
}
_OTHER_KIND = 0.05
_PER_RANK = 0.35
"""The second sense of a noun counts 1 / 1.35 as much as the first, the third 1 / 1.7."""
_INSTANCE = 0.3
"""A single thing, such as the Eiffel Tower, counts this much as often."""
_PROPER = 0.5
"""As often for a sense that is spelled with a capital letter."""


@dataclass(frozen=True)
class Sense:
    """A sense.

    Attributes:
        kind: number of the lexicographer file, two digits.
        names: its nouns, the usual one first.
        gloss: its definition, without examples.
        instance: whether it is a single thing or person.
        parents: ids of the senses that are one step more general.
    """

    kind: str
    names: tuple[str, ...]
    gloss: str
    instance: bool
    parents: tuple[str, ...]

    @property
    def text(self) -> str:
        """The noun and its definition."""
        return f"{self.names[0]}: {self.gloss}"


Senses = dict[str, Sense]


def read_nouns(folder: Path) -> tuple[Senses, dict[str, list[str]]]:
    """Return id -> sense, and noun -> ids of its senses, the most frequent first. Nouns have spaces in place of hyphens."""
    senses = {}
    for line in _lines(folder / "data.noun"):
        head, _, rest = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        names = tuple(fields[4 + 2 * number].replace("_", " ") for number in range(count))
        # Pointers follow, of four fields each: "@" points to a more general sense, "@i" from a single thing to its kind.
        pointers = fields[5 + 2 * count :]
        kinds = dict.fromkeys(zip(pointers[::4], pointers[1::4], strict=False))
        parents = tuple(target for symbol, target in kinds if symbol in ("@", "@i"))
        instance = any(symbol == "@i" for symbol, _ in kinds)
        senses[fields[0]] = Sense(fields[1], names, rest.strip().split('; "')[0], instance, parents)
    nouns: dict[str, list[str]] = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        nouns.setdefault(fields[0].replace("_", " ").replace("-", " "), fields[-int(fields[2]) :])
    return senses, nouns


def read_words(folder: Path) -> list[str]:
    """Return the single words of all parts of speech, sorted."""
    found = set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in _lines(folder / f"index.{part}"):
            found.update(line.split()[0].replace("-", "_").split("_"))
    return sorted(word for word in found if word.isalpha() and len(word) > 1)


def weigh(noun: str, ids: list[str], senses: Senses) -> list[tuple[str, float]]:
    """Return the senses of a noun with their weights, the largest first."""
    weighed = []
    for rank, number in enumerate(ids):
        sense = senses[number]
        weight = _KINDS.get(sense.kind, _OTHER_KIND) / (1 + _PER_RANK * rank)
        if sense.instance:
            weight *= _INSTANCE
        if any(name[0].isupper() for name in sense.names if name.lower() == noun):
            weight *= _PROPER
        weighed.append((number, weight))
    return sorted(weighed, key=lambda entry: -entry[1])


def _lines(path: Path) -> list[str]:
    # The licence at the top of each file is indented.
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]
