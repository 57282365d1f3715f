"""From what a user says to conditions: classes checked, labels folded into keys, words and pictures encoded.

Shapes: K classes, N texts or pictures, E condition width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Encoder, StatesConfidence
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt
from tina_framework.prompts.encoding import encode_pictures, encode_texts, unit_rows
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.known_names import KnownNames, match_known_names
from tina_framework.prompts.spelling import fold

__all__ = ["EncodedTask", "encode_task", "encode_tasks"]

MIN_CLASSES = 2
"""A classifier chooses; with one class there is nothing to choose."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EncodedTask:
    """One task, encoded.

    Attributes:
        class_names: K names, as the user wrote them: what the classifier answers.
        keys: K folded names; they decide the order and the noise a model is generated in and from.
        vectors: (K, E) float32, raw, as the encoder gave them.
        confidence: (K,) the encoder's own estimate of how good each vector is, None if it gives none; NaN where it says nothing
            (pictures, vectors).
        prompts: K prompts, empty where all of them are plain names.
        familiarity: (K,) how likely each class is one that the generator was trained on, None where nobody asked.
        nearest: K known names that the classes are most similar to ("": the encoder cannot read the known ones), empty where nobody asked.
        read_as: words of this task that were read as another name, a known one (``sofa`` -> ``couch``).
    """

    class_names: tuple[str, ...]
    keys: tuple[str, ...]
    vectors: Rows
    confidence: Rows | None = None
    prompts: tuple[ClassPrompt, ...] = ()
    familiarity: Rows | None = None
    nearest: tuple[str, ...] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.class_names)


def encode_task(
    names: Sequence[Any], encoder: Encoder, template: int = 0, known_classes: KnownClasses | None = None
) -> EncodedTask:
    """One task from its classes.

    Args:
        names: K class names, pictures or prompts, in the order the classifier's outputs shall have.
        encoder: reads them.
        template: which of the encoder's templates.
        known_classes: of the generator; None: vectors are taken as the encoder gives them.

    Raises:
        PromptError: fewer than two classes, an empty name, or two that differ in case, spaces, hyphens or underscores only; or
            something that the encoder cannot read.
    """
    return encode_tasks([names], encoder, template, known_classes)[0]


def encode_tasks(
    tasks: Sequence[Sequence[Any]],
    encoder: Encoder,
    template: int = 0,
    known_classes: KnownClasses | None = None,
    known_names: Iterable[str] | None = None,
) -> list[EncodedTask]:
    """Many tasks; every text is encoded once, however many tasks have it.

    Args:
        known: names of the classes that a generator was trained on. Another word for one of them (a synonym, a plural) is encoded
            as that name, and keeps its label; so is a misspelt one, where the encoder says that there is no such word. Empty: all texts are encoded as they are.

    Raises:
        PromptError: as `encode_task`; or two classes of a task that mean the same known name, or are said in the same way.
    """
    names = KnownNames(_names(known_classes, known_names))
    checked = [_check(classes, names) for classes in tasks]
    matches = [match_known_names(prompts, names, encoder) for prompts, _ in checked]
    # Underscores come from file and label names; to a text encoder they are noise.
    texts = [
        [[_clean(read_as.get(text, text)) for text in prompt.texts] for prompt in prompts]
        for (prompts, _), read_as in zip(checked, matches, strict=True)
    ]
    unique = list(dict.fromkeys(text for task in texts for said in task for text in said))
    vectors = encode_texts(unique, encoder, template)
    confidence = encoder.text_confidence(unique) if isinstance(encoder, StatesConfidence) else None
    row = {text: index for index, text in enumerate(unique)}
    shown = encode_pictures([prompt for prompts, _ in checked for prompt in prompts], encoder)
    conditions = []
    for (prompts, keys), read_as, task in zip(checked, matches, texts, strict=True):
        vectors_KE, sure, familiar, nearest = [], [], [], []
        given: list[Rows] = []
        for prompt, said in zip(prompts, task, strict=True):
            own = [row[text] for text in said]
            parts = _parts(prompt, vectors[own], shown[id(prompt)], encoder)
            sure.append(float(confidence[own].mean()) if confidence is not None and own else np.nan)
            given.append(_mean(list(parts.values())))
            if known_classes is None:
                vectors_KE.append(given[-1])
                continue
            as_read = _as_read(prompt, read_as)
            vector, familiarity = known_classes.project(as_read, parts)
            vectors_KE.append(vector)
            familiar.append(familiarity)
            named = next(
                (known_classes.canonical_name(text) for text in as_read.texts if known_classes.knows(text)), None
            )
            nearest.append(named or (known_classes.nearest(vector) if known_classes.is_readable else ""))
        _refuse_same(prompts, given, read_as)
        conditions.append(
            EncodedTask(
                tuple(prompt.label for prompt in prompts),
                keys,
                np.stack(vectors_KE),
                None if confidence is None else np.array(sure, dtype=np.float32),
                () if all(_is_plain(prompt) for prompt in prompts) else prompts,
                np.array(familiar, dtype=np.float32) if familiar else None,
                tuple(nearest),
                {text: read_as[text] for prompt in prompts for text in prompt.texts if text in read_as},
            )
        )
    return conditions


def _names(known_classes: KnownClasses | None, known_names: Iterable[str] | None) -> Iterable[str]:
    if known_names is not None:
        return known_names
    return () if known_classes is None else known_classes.names


def _as_read(prompt: ClassPrompt, read_as: Mapping[str, str]) -> ClassPrompt:
    """With the names its words were read as."""
    return replace(prompt, texts=tuple(read_as.get(text, text) for text in prompt.texts))


def _refuse_same(prompts: Sequence[ClassPrompt], vectors: Sequence[Rows], read_as: Mapping[str, str]) -> None:
    """The same words, pictures and vectors under two labels. That an encoder takes different words for the same is its affair."""
    first: dict[tuple[bytes, frozenset[str]], str] = {}
    for prompt, vector in zip(prompts, vectors, strict=True):
        words = frozenset(fold(read_as.get(text, text)) for text in prompt.texts)
        other = first.setdefault((vector.tobytes(), words), prompt.label)
        if other != prompt.label:
            raise PromptError(
                f"'{other}' and '{prompt.label}' are said in the same way, so nothing could tell them apart; change one of them."
            )


def _clean(text: str) -> str:
    return " ".join(text.replace("_", " ").split())


def _is_plain(prompt: ClassPrompt) -> bool:
    """Whether it is a name and nothing else."""
    return len(prompt.texts) == 1 and prompt.texts[0].strip() == prompt.label and prompt.kinds == ("text",)


def _parts(prompt: ClassPrompt, texts_NE: Rows, images_NE: Rows, encoder: Encoder) -> dict[str, Rows]:
    """Kind -> (E,): the vector itself if there is one of that kind, else the mean direction."""
    for vector in prompt.vectors:
        if vector.shape != (encoder.dim,):
            raise PromptError(
                f"The vector for '{prompt.label}' has {len(vector)} numbers, but encoder '{encoder.name}' makes {encoder.dim}; "
                "use vectors of its space."
            )
    given = {"text": texts_NE, "images": images_NE, "vector": np.array(prompt.vectors, dtype=np.float32)}
    return {kind: _mean(list(rows)) for kind, rows in given.items() if len(rows)}


def _mean(rows: list[Rows]) -> Rows:
    """(E,): a single vector as it is, of several the mean direction."""
    if len(rows) == 1:
        return rows[0]
    mean: Rows = unit_rows(np.stack(rows)).mean(axis=0).astype(np.float32)
    return mean


def _check_class(prompt: ClassPrompt, key: str, position: int) -> None:
    if not key:
        raise PromptError(
            f"Class name number {position + 1} is {(prompt.label or prompt.texts[0])!r}, which is empty; write a word or leave it out."
        )
    if not prompt.kinds:
        raise PromptError(f"Nothing is said about the class '{prompt.label}'; give words, pictures or a vector.")
    for text in (prompt.label, *prompt.texts):
        # Terminals obey some of these when they print the name, and half characters cannot be written to a file.
        if bad := next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and not c.isspace()), ""):
            raise PromptError(f"Class name number {position + 1} holds the control character {bad!r}; leave it out.")


def _check(classes: Sequence[Any], known: KnownNames) -> tuple[tuple[ClassPrompt, ...], tuple[str, ...]]:
    """Prompts with stripped labels, and the labels' keys: of a plain name that means a known one, that one's."""
    if isinstance(classes, str):
        raise PromptError(f"The task is the single text {classes!r}; give a list of class names.")
    prompts = tuple(as_prompt(value, position) for position, value in enumerate(classes))
    if len(prompts) < MIN_CLASSES:
        got = "No class was named" if not prompts else f"Only one class was named ({prompts[0].label!r})"
        raise PromptError(f"{got}; a classifier needs at least {MIN_CLASSES} classes to choose from.")
    meanings = [known.find(prompt.label) if _is_plain(prompt) else None for prompt in prompts]
    keys = tuple(fold(meaning or prompt.label) for prompt, meaning in zip(prompts, meanings, strict=True))
    for position, (prompt, key) in enumerate(zip(prompts, keys, strict=True)):
        _check_class(prompt, key, position)
    first: dict[str, int] = {}
    for position, (prompt, key) in enumerate(zip(prompts, keys, strict=True)):
        if (before := first.setdefault(key, position)) == position:
            continue
        other, meaning = prompts[before], meanings[before] or meanings[position]
        both = f"'{other.label}' and '{prompt.label}' are the same class"
        if other.label == prompt.label:
            both = f"'{prompt.label}' is named twice"
        elif meaning is not None:
            both += f" ('{meaning}', to this generator)"
        raise PromptError(f"{both}; every class may appear once.")
    return prompts, keys
