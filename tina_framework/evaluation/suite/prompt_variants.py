"""Variants of prompts: each turns the class names of a task into prompts, as text, as images or as both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.spelling import is_typo
from tina_framework.storage.files import read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TEMPLATES", "PromptMaterial", "PromptVariant", "misspell", "prompt_variants", "read_descriptions"]

TEMPLATES = (
    "a photo of a {}",
    "a picture of the {}",
    "this is a {}",
    "a small image showing a {}",
    "one {} in its usual place",
    "the {} that everybody knows",
    "an old photograph of a {}",
    "{}, seen from the front",
)
"""Eight sentences around a class name, in addition to the encoder's own templates."""

SHOTS = (1, 5, 20)
_TRIES = 50
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read_descriptions(path: Path, class_names: Sequence[str]) -> dict[str, str]:
    """Read a JSON file of descriptions, class name -> description.

    Raises:
        DataError: the file holds something else, or lacks a class.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not all(isinstance(text, str) and text.strip() for text in values.values()):
        raise DataError(f"'{path}' is no JSON object of class names and descriptions; give one.")
    missing = [name for name in class_names if name not in values]
    if missing:
        raise DataError(f"'{path}' describes no '{missing[0]}'; every class of the data set needs a description.")
    return {name: values[name] for name in class_names}


def misspell(name: str, draws: random.Random) -> str:
    """Return the name with one typing mistake: a letter dropped, doubled or replaced, or two letters swapped.

    The first letter stays. The result always differs from the name.
    """
    places = [i for i in range(1, len(name)) if name[i].isalpha()]
    while places:
        i = draws.choice(places)
        kind = draws.randrange(4)
        if kind == 0:
            slipped = name[:i] + name[i + 1 :]
        elif kind == 1:
            slipped = name[:i] + name[i] + name[i:]
        elif kind == 2:
            slipped = name[:i] + draws.choice(_LETTERS) + name[i + 1 :]
        else:
            slipped = name[: i - 1] + name[i] + name[i - 1] + name[i + 1 :] if i > 1 else name
        if slipped != name:
            return slipped
    return name + name[-1:]


@dataclass(frozen=True)
class PromptMaterial:
    """What prompts can be made of.

    Attributes:
        class_names: the classes of the data set.
        pictures: images to show in prompts. Nothing was trained on them or is measured on them.
        descriptions: class name -> sentence; empty if there are none.
        seed: seed of the typing mistakes and of the choice of pictures.
    """

    class_names: tuple[str, ...]
    pictures: LabelledImages
    descriptions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def shown(self, name: str, number: int, task: int) -> tuple[Image.Image, ...]:
        """Return `number` pictures of a class, drawn anew for each task.

        A smaller number takes the first of a larger one.

        Raises:
            DataError: the class has fewer pictures.
        """
        own = np.flatnonzero(self.pictures.labels == self.class_names.index(name))
        if len(own) < number:
            raise DataError(
                f"There are {len(own)} pictures of '{name}' to show, but {number} are needed; "
                "use a data set with more images."
            )
        # All images are shuffled, however many are shown: then the first of a larger number are those of a smaller one.
        order = sorted(own.tolist())
        random.Random(f"{self.seed}/shown/{task}/{name}").shuffle(order)
        return tuple(Image.fromarray(self.pictures.images[i]) for i in order[:number])

    def fewest(self, names: Iterable[str]) -> int:
        """Return the number of pictures of that one of these classes that has the fewest."""
        counts = np.bincount(self.pictures.labels, minlength=len(self.class_names))
        return min((int(counts[self.class_names.index(name)]) for name in names), default=0)

    def misspelt(self, name: str, task: int) -> str:
        """Return a misspelt name that nobody could take for a misspelt name of another class.

        If no such misspelling is found, the name itself is returned.
        """
        draws = random.Random(f"{self.seed}/typo/{task}/{name}")
        for _ in range(_TRIES):
            slipped = misspell(name, draws)
            if not any(is_typo(slipped, other) for other in self.class_names if other != name):
                return slipped
        return name


MakePrompt = Callable[[PromptMaterial, str, int, int], ClassPrompt]
"""(material, class name, number of the task, place in the task) -> prompt."""


@dataclass(frozen=True)
class PromptVariant:
    """One variant of prompts.

    Attributes:
        label: its name in tables.
        group: ``text``, ``pictures`` or ``mixed``.
        prompt: makes the prompt of one class.
        as_encoded: the generator gets the vectors exactly as the encoder gives them. Otherwise it first compares them
            with the known class names.
    """

    label: str
    group: str
    prompt: MakePrompt
    as_encoded: bool = False


def _text(*texts: str, label: str) -> ClassPrompt:
    return ClassPrompt(label, texts)


def _template(template: str) -> MakePrompt:
    return lambda material, name, task, place: _text(template.format(name), label=name)


def _shots(number: int) -> MakePrompt:
    return lambda material, name, task, place: ClassPrompt(name, images=material.shown(name, number, task))


def _everything(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    words = (name, material.descriptions[name]) if material.descriptions else (name,)
    return ClassPrompt(name, words, material.shown(name, 5, task))


def _in_turn(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    kinds: list[MakePrompt] = [_name, _shots(5)] + ([_describe] if material.descriptions else [])
    return kinds[place % len(kinds)](material, name, task, place)


def _name(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    return _text(name, label=name)


def _describe(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    return _text(material.descriptions[name], label=name)


def _shout(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    return _text(name.upper().replace(" ", "-"), label=name)


def _typo(material: PromptMaterial, name: str, task: int, place: int) -> ClassPrompt:
    return _text(material.misspelt(name, task), label=name)


def prompt_variants(
    *, descriptions: bool, pictures: bool, synonyms: Mapping[str, str] | None = None
) -> list[PromptVariant]:
    """Return all variants that the given material allows. The first is plain names.

    Args:
        descriptions: whether there are descriptions.
        pictures: whether the encoder reads pictures.
        synonyms: class name -> another word for it.
    """
    found = [PromptVariant("names", "text", _name), PromptVariant("UPPER-CASE", "text", _shout)]
    found += [PromptVariant(f"\u201c{template}\u201d", "text", _template(template)) for template in TEMPLATES]
    if synonyms:
        found.append(
            PromptVariant(
                "synonyms", "text", lambda material, name, task, place: _text(synonyms.get(name, name), label=name)
            )
        )
    found.append(PromptVariant("typos", "text", _typo))
    found.append(PromptVariant("typos, as encoded", "text", _typo, as_encoded=True))
    if descriptions:
        found.append(PromptVariant("descriptions", "text", _describe))
        found.append(PromptVariant("descriptions, as encoded", "text", _describe, as_encoded=True))
    if pictures:
        for number in SHOTS:
            label = "1 picture" if number == 1 else f"{number} pictures"
            found.append(PromptVariant(label, "pictures", _shots(number)))
            found.append(PromptVariant(f"{label}, as encoded", "pictures", _shots(number), as_encoded=True))
        what = "name, description and 5 pictures" if descriptions else "name and 5 pictures"
        found.append(PromptVariant(what, "mixed", _everything))
        kinds = "names, 5 pictures, descriptions in turn" if descriptions else "names, 5 pictures in turn"
        found.append(PromptVariant(kinds, "mixed", _in_turn))
    return found
