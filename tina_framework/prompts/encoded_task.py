"""Check the classes of tasks and encode their words and pictures.

Shapes: K classes, N texts or pictures, E width of the encoder's vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError, shorten
from tina_framework.interfaces.class_names import MAX_TEXT_LENGTH, fold, name_fault
from tina_framework.interfaces.encoder import Encoder, StatesConfidence
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt
from tina_framework.prompts.encoding import encode_pictures, encode_texts, unit_rows
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.known_names import KnownNames, match_known_names
from tina_framework.prompts.limits import check_class_count

__all__ = ["EncodedTask", "encode_task", "encode_tasks"]

MIN_CLASSES = 2
"""Fewest classes of a task."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EncodedTask:
    """A task with the vectors of its classes.

    Attributes:
        class_names: K names in the user's spelling, but normalised, which are the classifier's answers.
        keys: K folded names. The generator sorts the classes by them and derives the noise from them.
        vectors: (K, E) float32, the input of `ConditionSpace`.
        confidence: (K,) the encoder's own estimate of how good each vector is. It is NaN for a class without words, and None
            for an encoder without such estimates (`StatesConfidence`).
        prompts: K prompts; empty if all of them are plain names.
        familiarity: (K,) probability that the generator was trained on each class; None if no known classes were given.
        nearest: K known names that are most similar to the classes, or "" if the encoder cannot encode the known names; empty
            if no known classes were given.
        read_as: text -> known name, for texts that were read as a known name (``sofa`` -> ``couch``).
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
    """Encode the classes of one task.

    Args:
        names: K class names, pictures or prompts, in the order of the classifier's outputs.
        encoder: encodes them.
        template: index of the encoder's prompt template.
        known_classes: classes of the generator, onto which prompts are projected; default: vectors are not changed.

    Raises:
        PromptError: there are fewer than two classes, or more than `MAX_CLASSES`; a name is empty, too long or has control
            characters; two names differ only in case, spaces, hyphens, underscores or invisible characters; or the encoder
            cannot encode a class.
    """
    return encode_tasks([names], encoder, template, known_classes)[0]


def encode_tasks(
    tasks: Sequence[Sequence[Any]],
    encoder: Encoder,
    template: int = 0,
    known_classes: KnownClasses | None = None,
    known_names: Iterable[str] | None = None,
) -> list[EncodedTask]:
    """Encode many tasks. Every text is encoded once, even if many tasks have it.

    Args:
        tasks: the classes of each task, as in `encode_task`.
        encoder: as in `encode_task`.
        template: as in `encode_task`.
        known_classes: as in `encode_task`.
        known_names: names of classes that the generator was trained on; default: those of `known_classes`. A synonym, a plural
            or a misspelling of such a name is encoded as that name and keeps its label (see `match_known_names`).

    Raises:
        PromptError: as in `encode_task`; or two classes of a task mean the same known name, or have the same prompt.
    """
    names = _lookup(known_classes, known_names)
    # Many tasks have the same names, so that a plain name is checked and compared with the known ones only once.
    plain: dict[str, _PlainName] = {}
    checked = [_check(classes, names, plain) for classes in tasks]
    matches = [match_known_names(prompts, names, encoder) for prompts, _ in checked]
    # All tasks share one call of each tower, because large encoders are slow to call.
    texts = dict.fromkeys(
        _to_encode(text, read_as)
        for (prompts, _), read_as in zip(checked, matches, strict=True)
        for prompt in prompts
        for text in prompt.texts
    )
    vectors = _Vectors(
        row={text: index for index, text in enumerate(texts)},
        texts=encode_texts(list(texts), encoder, template),
        confidence=encoder.text_confidence(list(texts)) if isinstance(encoder, StatesConfidence) else None,
        pictures=encode_pictures([prompt for prompts, _ in checked for prompt in prompts], encoder),
        dim=encoder.dim,
        encoder_name=encoder.name,
    )
    encoded: dict[tuple[str, str | None], _EncodedClass] = {}
    return [
        _encode_checked(prompts, keys, read_as, vectors, known_classes, encoded)
        for (prompts, keys), read_as in zip(checked, matches, strict=True)
    ]


@dataclass(frozen=True)
class _Vectors:
    """The encoded texts and pictures of all tasks.

    Attributes:
        row: text -> row of `texts` and `confidence`.
        texts: raw vectors (N, E).
        confidence: (N,), or None for an encoder without confidence.
        pictures: `id` of a prompt -> raw vectors of its pictures.
        dim: E.
        encoder_name: for messages.
    """

    row: Mapping[str, int]
    texts: Rows
    confidence: Rows | None
    pictures: Mapping[int, Rows]
    dim: int
    encoder_name: str

    def parts(self, prompt: ClassPrompt, rows: Sequence[int]) -> dict[str, Rows]:
        """Return kind -> vector (E,): a single vector unchanged, or the mean direction of several.

        Args:
            prompt: the class.
            rows: rows of its texts.
        """
        for vector in prompt.vectors:
            if vector.shape != (self.dim,):
                raise PromptError(
                    f"The vector for {shorten(prompt.label)} has {len(vector)} numbers, but those of encoder '{self.encoder_name}' "
                    f"have {self.dim}; use vectors of its space."
                )
        given = {
            "text": self.texts[list(rows)],
            "images": self.pictures[id(prompt)],
            "vector": np.array(prompt.vectors, dtype=np.float32),
        }
        return {kind: _mean(list(vectors)) for kind, vectors in given.items() if len(vectors)}


class _EncodedClass(NamedTuple):
    """One class of a task.

    Attributes:
        given: its vector (E,) before the projection onto known classes.
        identity: its words and vectors. Two classes of a task with the same identity are refused; see `_refuse_same`.
        vector: the vector (E,) that the generator reads.
        confidence, familiarity, nearest: as in `EncodedTask`.
    """

    given: Rows
    identity: tuple[bytes, frozenset[str]]
    vector: Rows
    confidence: float
    familiarity: float
    nearest: str


def _encode_checked(
    prompts: tuple[ClassPrompt, ...],
    keys: tuple[str, ...],
    read_as: Mapping[str, str],
    vectors: _Vectors,
    known_classes: KnownClasses | None,
    encoded: dict[tuple[str, str | None], _EncodedClass],
) -> EncodedTask:
    """Collect the vectors of one task whose texts and pictures are encoded.

    Args:
        prompts, keys: from `_check`.
        read_as: text -> known name, for this task.
        vectors: of all tasks.
        known_classes: as in `encode_task`.
        encoded: the plain names of the tasks before, with what they were read as. Those of this task are added.
    """
    classes, all_plain = [], True
    for prompt in prompts:
        if not _is_plain(prompt):
            all_plain = False
            classes.append(_encode_class(prompt, read_as, vectors, known_classes))
            continue
        name = (prompt.label, read_as.get(prompt.label))
        if name not in encoded:
            encoded[name] = _encode_class(prompt, read_as, vectors, known_classes)
        classes.append(encoded[name])
    # Compare the vectors before the projection, which may give different prompts the same vector.
    _refuse_same(prompts, classes)
    is_compared, has_confidence = known_classes is not None, vectors.confidence is not None
    return EncodedTask(
        class_names=tuple(prompt.label for prompt in prompts),
        keys=keys,
        vectors=np.stack([one.vector for one in classes]),
        confidence=np.array([one.confidence for one in classes], dtype=np.float32) if has_confidence else None,
        prompts=() if all_plain else prompts,
        familiarity=np.array([one.familiarity for one in classes], dtype=np.float32) if is_compared else None,
        nearest=tuple(one.nearest for one in classes) if is_compared else (),
        read_as={text: read_as[text] for prompt in prompts for text in prompt.texts if text in read_as}
        if read_as
        else {},
    )


def _encode_class(
    prompt: ClassPrompt, read_as: Mapping[str, str], vectors: _Vectors, known_classes: KnownClasses | None
) -> _EncodedClass:
    rows = [vectors.row[_to_encode(text, read_as)] for text in prompt.texts]
    parts = vectors.parts(prompt, rows)
    given = _mean(list(parts.values()))
    identity = given.tobytes(), frozenset(fold(read_as.get(text, text)) for text in prompt.texts)
    confidence = math.nan
    if vectors.confidence is not None and rows:
        confidence = float(vectors.confidence[rows].mean())
    if known_classes is None:
        return _EncodedClass(given, identity, given, confidence, math.nan, "")
    as_read = _as_read(prompt, read_as)
    vector, familiarity = known_classes.project(as_read, parts)
    if known_classes.is_open and confidence < known_classes.least_confidence:
        # Any vector resembles some known class. A vector of words that the encoder does not know means nothing.
        familiarity = min(familiarity, confidence)
    return _EncodedClass(given, identity, vector, confidence, familiarity, _nearest(as_read, vector, known_classes))


def _nearest(prompt: ClassPrompt, vector: Rows, known_classes: KnownClasses) -> str:
    """Return the known name in a prompt, else the name that its vector is nearest to; "" if the encoder cannot tell."""
    for text in prompt.texts:
        if known_classes.knows(text):
            return known_classes.canonical_name(text)
    return known_classes.nearest(vector) if known_classes.is_readable else ""


def _lookup(known_classes: KnownClasses | None, known_names: Iterable[str] | None) -> KnownNames:
    if known_names is not None:
        return KnownNames(known_names)
    return KnownNames() if known_classes is None else known_classes.lookup


def _as_read(prompt: ClassPrompt, read_as: Mapping[str, str]) -> ClassPrompt:
    """Return the prompt with texts replaced by the names that they were read as."""
    if not any(text in read_as for text in prompt.texts):
        return prompt
    return replace(prompt, texts=tuple(read_as.get(text, text) for text in prompt.texts))


def _refuse_same(prompts: Sequence[ClassPrompt], classes: Sequence[_EncodedClass]) -> None:
    """Refuse two classes with the same words, pictures and vectors.

    Different words may have the same vector, for example with `clip-lite`. They are accepted, so that evaluation can measure them.
    """
    first: dict[tuple[bytes, frozenset[str]], str] = {}
    for prompt, one in zip(prompts, classes, strict=True):
        other = first.setdefault(one.identity, prompt.label)
        if other != prompt.label:
            raise PromptError(
                f"{shorten(other)} and {shorten(prompt.label)} have the same prompt, so the classifier could not tell them apart; "
                "change one of them."
            )


def _to_encode(text: str, read_as: Mapping[str, str]) -> str:
    """Return what the encoder reads for a text: the known name that it means, with single spaces."""
    # Underscores come from names of files and labels; a text encoder cannot use them.
    return " ".join(read_as.get(text, text).replace("_", " ").split())


def _is_plain(prompt: ClassPrompt) -> bool:
    """Whether a prompt consists of its name only."""
    return prompt.texts == (prompt.label,) and not prompt.images and not prompt.vectors


def _mean(rows: list[Rows]) -> Rows:
    """Return (E,): a single vector unchanged, or the mean direction of several."""
    if len(rows) == 1:
        return rows[0]
    mean: Rows = unit_rows(np.stack(rows)).mean(axis=0).astype(np.float32)
    return mean


def _check_class(prompt: ClassPrompt, position: int) -> None:
    where = f"Class name number {position + 1}"
    if len(prompt.label) <= MAX_TEXT_LENGTH and not fold(prompt.label):
        raise PromptError(f"{where} is {shorten(prompt.label)}, which is empty; give a word or remove it.")
    if not prompt.kinds:
        raise PromptError(f"The prompt of class {shorten(prompt.label)} is empty; give words, pictures or a vector.")
    for text in prompt.texts:
        if fault := name_fault(text, MAX_TEXT_LENGTH):
            raise PromptError(f"A text of class number {position + 1} {fault}; change it.")
    if fault := name_fault(prompt.label):
        is_description = prompt.label in prompt.texts
        advice = "give it a short label (LABEL=DESCRIPTION, prompt.text)" if is_description else "change it"
        raise PromptError(f"{where} {fault}; {advice}.")


class _PlainName(NamedTuple):
    """A class that is given as a string, checked. `meaning` is the known name that it means, unless it is known itself."""

    prompt: ClassPrompt
    meaning: str | None
    key: str


def _check(
    classes: Sequence[Any], known: KnownNames, plain: dict[str, _PlainName]
) -> tuple[tuple[ClassPrompt, ...], tuple[str, ...]]:
    """Check the classes of a task. Return the prompts, and one key for each.

    The key is the folded label. If a plain name means a known name, the key is that of the known name.

    Args:
        classes: the classes.
        known: the known names.
        plain: the strings that were checked before. Those of this task are added.
    """
    if isinstance(classes, str):
        raise PromptError(f"The task is the single string {shorten(classes)}; give a list of class names.")
    check_class_count(len(classes))
    checked = [plain.get(value) if isinstance(value, str) else None for value in classes]
    prompts = tuple(
        as_prompt(value, position) if one is None else one.prompt
        for position, (value, one) in enumerate(zip(classes, checked, strict=True))
    )
    if len(prompts) < MIN_CLASSES:
        got = "No class was named" if not prompts else f"Only one class was named ({shorten(prompts[0].label)})"
        raise PromptError(f"{got}; a classifier needs at least {MIN_CLASSES} classes.")
    for position, (prompt, one) in enumerate(zip(prompts, checked, strict=True)):
        if one is None:
            _check_class(prompt, position)
    named = []
    for value, prompt, one in zip(classes, prompts, checked, strict=True):
        if one is None:
            meaning = known.find(prompt.label) if _is_plain(prompt) else None
            one = _PlainName(prompt, meaning, fold(meaning or prompt.label))
            if isinstance(value, str):
                plain[value] = one
        named.append(one)
    first: dict[str, int] = {}
    for position, (prompt, _, key) in enumerate(named):
        if (before := first.setdefault(key, position)) == position:
            continue
        other, meaning = prompts[before], named[before].meaning or named[position].meaning
        both = f"{shorten(other.label)} and {shorten(prompt.label)} are the same class"
        if other.label == prompt.label:
            both = f"{shorten(prompt.label)} occurs twice"
        elif meaning is not None:
            both += f" (the known class {shorten(meaning)})"
        raise PromptError(f"{both}; every class may occur once.")
    return prompts, tuple(one.key for one in named)
