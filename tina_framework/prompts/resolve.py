"""From what a user types to conditions: class names checked, folded into keys and encoded.

Shapes: K classes, E condition width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Encoder, StatesConfidence

__all__ = ["Condition", "fold", "resolve_names", "resolve_tasks"]

MIN_CLASSES = 2
"""A classifier chooses; with one class there is nothing to choose."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One task, encoded.

    Attributes:
        class_names: K names, as the user wrote them.
        keys: K folded names; they decide the order and the noise a model is generated in and from.
        vectors: (K, E) float32, raw, as the encoder gave them.
        confidence: (K,) the encoder's own estimate of how good each vector is, None if it gives none.
    """

    class_names: tuple[str, ...]
    keys: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.class_names)


def fold(name: str) -> str:
    """What two spellings of one class have in common: ``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def resolve_names(names: Sequence[str], encoder: Encoder, template: int = 0) -> Condition:
    """One task from its class names.

    Args:
        names: K class names or descriptions, in the order the classifier's outputs shall have.
        encoder: reads them.
        template: which of the encoder's templates.

    Raises:
        PromptError: fewer than two names, an empty one, or two that differ in case, spaces, hyphens or underscores only.
    """
    return resolve_tasks([names], encoder, template)[0]


def resolve_tasks(tasks: Sequence[Sequence[str]], encoder: Encoder, template: int = 0) -> list[Condition]:
    """Many tasks; every name is encoded once, however many tasks have it.

    Raises:
        PromptError: as `resolve_names`.
    """
    checked = [_check(names) for names in tasks]
    # Underscores come from file and label names; to a text encoder they are noise.
    texts = {name: " ".join(name.replace("_", " ").split()) for names, _ in checked for name in names}
    unique = list(dict.fromkeys(texts.values()))
    vectors = _encode(unique, encoder, template)
    confidence = encoder.text_confidence(unique) if isinstance(encoder, StatesConfidence) else None
    row = {text: index for index, text in enumerate(unique)}
    conditions = []
    for names, keys in checked:
        rows = [row[texts[name]] for name in names]
        conditions.append(Condition(names, keys, vectors[rows], None if confidence is None else confidence[rows]))
    return conditions


def _encode(texts: list[str], encoder: Encoder, template: int) -> npt.NDArray[np.float32]:
    if not 0 <= template < len(encoder.templates):
        raise PromptError(
            f"Template number {template} does not exist: encoder '{encoder.name}' has {len(encoder.templates)}, counted from 0."
        )
    if not texts:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    vectors = np.asarray(encoder.encode_text(texts, template=template), dtype=np.float32)
    if vectors.shape != (len(texts), encoder.dim):
        raise PromptError(
            f"Encoder '{encoder.name}' gave an array of shape {vectors.shape} for {len(texts)} names; "
            f"expected {(len(texts), encoder.dim)}. The encoder is at fault."
        )
    return vectors


def _check(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Stripped names and their keys."""
    if isinstance(names, str):
        raise PromptError(f"The task is the single text {names!r}; give a list of class names.")
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise PromptError(f"{odd!r} is not a class name; give texts.")
    if len(names) < MIN_CLASSES:
        got = "No class was named" if not names else f"Only one class was named ({names[0]!r})"
        raise PromptError(f"{got}; a classifier needs at least {MIN_CLASSES} classes to choose from.")
    stripped = tuple(name.strip() for name in names)
    keys = tuple(fold(name) for name in stripped)
    if "" in keys:
        position = keys.index("")
        raise PromptError(
            f"Class name number {position + 1} is {names[position]!r}, which is empty; write a word or leave it out."
        )
    first: dict[str, str] = {}
    for name, key in zip(stripped, keys, strict=True):
        if key in first:
            both = (
                f"'{name}' is named twice" if first[key] == name else f"'{first[key]}' and '{name}' are the same class"
            )
            raise PromptError(f"{both}; every class may appear once.")
        first[key] = name
    return stripped, keys
