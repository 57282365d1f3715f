"""From what a user says to conditions: classes checked, labels folded into keys, words and pictures encoded.

Shapes: K classes, N texts or pictures, E condition width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Encoder, ImageEncoder, StatesConfidence
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt

__all__ = ["Condition", "Settles", "fold", "resolve_names", "resolve_tasks"]

MIN_CLASSES = 2
"""A classifier chooses; with one class there is nothing to choose."""

Rows = npt.NDArray[np.float32]


class Settles(Protocol):
    """What a generator's memory of its classes does with vectors that are not those of names (`tina_framework.prompts.memory`)."""

    def settle(self, vector_E: Rows, prompt: ClassPrompt) -> Rows:
        """The vector to be read instead of an encoder's raw one."""
        ...


@dataclass(frozen=True, eq=False)
class Condition:
    """One task, encoded.

    Attributes:
        class_names: K names, as the user wrote them: what the classifier answers.
        keys: K folded names; they decide the order and the noise a model is generated in and from.
        vectors: (K, E) float32, raw, as the encoder gave them.
        confidence: (K,) the encoder's own estimate of how good each vector is, None if it gives none; NaN where it says nothing
            (pictures, vectors).
        prompts: K prompts, empty where all of them are plain names.
    """

    class_names: tuple[str, ...]
    keys: tuple[str, ...]
    vectors: Rows
    confidence: Rows | None = None
    prompts: tuple[ClassPrompt, ...] = ()

    def __len__(self) -> int:
        return len(self.class_names)


def fold(name: str) -> str:
    """What two spellings of one class have in common: ``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def resolve_names(
    names: Sequence[Any], encoder: Encoder, template: int = 0, memory: Settles | None = None
) -> Condition:
    """One task from its classes.

    Args:
        names: K class names, pictures or prompts, in the order the classifier's outputs shall have.
        encoder: reads them.
        template: which of the encoder's templates.
        memory: of the generator; None: vectors are taken as the encoder gives them.

    Raises:
        PromptError: fewer than two classes, an empty name, or two that differ in case, spaces, hyphens or underscores only; or
            something that the encoder cannot read.
    """
    return resolve_tasks([names], encoder, template, memory)[0]


def resolve_tasks(
    tasks: Sequence[Sequence[Any]], encoder: Encoder, template: int = 0, memory: Settles | None = None
) -> list[Condition]:
    """Many tasks; every text is encoded once, however many tasks have it.

    Raises:
        PromptError: as `resolve_names`.
    """
    checked = [_check(classes) for classes in tasks]
    # Underscores come from file and label names; to a text encoder they are noise.
    texts = {text: _clean(text) for prompts, _ in checked for prompt in prompts for text in prompt.texts}
    unique = list(dict.fromkeys(texts.values()))
    vectors = _encode(unique, encoder, template)
    confidence = encoder.text_confidence(unique) if isinstance(encoder, StatesConfidence) else None
    row = {text: index for index, text in enumerate(unique)}
    shown = {id(prompt): _encode_images(prompt, encoder) for prompts, _ in checked for prompt in prompts}
    conditions = []
    for prompts, keys in checked:
        parts, sure = [], []
        for prompt in prompts:
            own = [row[texts[text]] for text in prompt.texts]
            vector = _combine(prompt, vectors[own], shown[id(prompt)], encoder)
            plain = _is_plain(prompt)
            parts.append(vector if plain or memory is None else memory.settle(vector, prompt))
            sure.append(float(confidence[own].mean()) if confidence is not None and own else np.nan)
        labels = tuple(prompt.label for prompt in prompts)
        conditions.append(
            Condition(
                labels,
                keys,
                np.stack(parts),
                None if confidence is None else np.array(sure, dtype=np.float32),
                () if all(_is_plain(prompt) for prompt in prompts) else prompts,
            )
        )
    return conditions


def _clean(text: str) -> str:
    return " ".join(text.replace("_", " ").split())


def _is_plain(prompt: ClassPrompt) -> bool:
    """Whether it is a name and nothing else."""
    return len(prompt.texts) == 1 and prompt.texts[0].strip() == prompt.label and prompt.kinds == ("text",)


def _combine(prompt: ClassPrompt, texts_NE: Rows, images_NE: Rows, encoder: Encoder) -> Rows:
    """(E,): the vector itself if there is one, else the mean direction of the words, the pictures and the vectors, kind by kind."""
    for vector in prompt.vectors:
        if vector.shape != (encoder.dim,):
            raise PromptError(
                f"The vector for '{prompt.label}' has {len(vector)} numbers, but encoder '{encoder.name}' makes {encoder.dim}; "
                "use vectors of its space."
            )
    kinds = [rows for rows in (texts_NE, images_NE, np.array(prompt.vectors, dtype=np.float32)) if len(rows)]
    if len(kinds) == 1 and len(kinds[0]) == 1:
        only: Rows = kinds[0][0]
        return only
    means = [_unit(_unit(rows).mean(axis=0, keepdims=True))[0] for rows in kinds]
    mean: Rows = np.mean(means, axis=0).astype(np.float32)
    return mean


def _unit(rows_NE: Rows) -> Rows:
    """Rows of length 1; a row of zeros stays (the condition space says what is wrong with it)."""
    lengths = np.linalg.norm(rows_NE, axis=1, keepdims=True)
    unit: Rows = (rows_NE / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _encode(texts: list[str], encoder: Encoder, template: int) -> Rows:
    if not 0 <= template < len(encoder.templates):
        raise PromptError(
            f"Template number {template} does not exist: encoder '{encoder.name}' has {len(encoder.templates)}, counted from 0."
        )
    if not texts:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    return _checked_rows(encoder.encode_text(texts, template=template), len(texts), "names", encoder)


def _encode_images(prompt: ClassPrompt, encoder: Encoder) -> Rows:
    if not prompt.images:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    if not isinstance(encoder, ImageEncoder):
        raise PromptError(
            f"The class '{prompt.label}' is said with pictures, but encoder '{encoder.name}' reads text only; use one with an "
            "image tower (clip-lite, clip-vit-b-32), or a name."
        )
    return _checked_rows(encoder.encode_images(list(prompt.images)), len(prompt.images), "pictures", encoder)


def _checked_rows(rows: Any, number: int, what: str, encoder: Encoder) -> Rows:
    vectors: Rows = np.asarray(rows, dtype=np.float32)
    if vectors.shape != (number, encoder.dim):
        raise PromptError(
            f"Encoder '{encoder.name}' gave an array of shape {vectors.shape} for {number} {what}; "
            f"expected {(number, encoder.dim)}. The encoder is at fault."
        )
    return vectors


def _check(classes: Sequence[Any]) -> tuple[tuple[ClassPrompt, ...], tuple[str, ...]]:
    """Prompts with stripped labels, and the labels' keys."""
    if isinstance(classes, str):
        raise PromptError(f"The task is the single text {classes!r}; give a list of class names.")
    prompts = tuple(as_prompt(value, position) for position, value in enumerate(classes))
    if len(prompts) < MIN_CLASSES:
        got = "No class was named" if not prompts else f"Only one class was named ({prompts[0].label!r})"
        raise PromptError(f"{got}; a classifier needs at least {MIN_CLASSES} classes to choose from.")
    keys = tuple(fold(prompt.label) for prompt in prompts)
    if "" in keys:
        position = keys.index("")
        raise PromptError(
            f"Class name number {position + 1} is {classes[position]!r}, which is empty; write a word or leave it out."
        )
    first: dict[str, str] = {}
    for prompt, key in zip(prompts, keys, strict=True):
        if key in first:
            both = (
                f"'{prompt.label}' is named twice"
                if first[key] == prompt.label
                else f"'{first[key]}' and '{prompt.label}' are the same class"
            )
            raise PromptError(f"{both}; every class may appear once.")
        first[key] = prompt.label
    return prompts, keys
