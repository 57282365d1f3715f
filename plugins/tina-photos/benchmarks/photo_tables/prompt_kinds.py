"""The three kinds of prompts of the benchmark, each with its baselines: CLIP vectors of names, names in words, and descriptions.

Shapes: K classes, M = 1,000 labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photo_tables.closed_form import kernel, mlp, nearest, ridge
from photo_tables.methods import Texts, Truth, by_cosine, by_generator, by_own_answer, by_random_vectors
from photo_tables.names import ClassText, leaks, same_name_as, spellings, synonyms
from photo_tables.tasks import Logits
from photo_tables.vocabulary import Vocabulary
from tina_framework import Generator, prompt
from tina_photos.words.encoder import PhotoWords
from tina_photos.words.minilm import load_minilm

__all__ = ["TINA", "PromptKind", "description_prompts", "name_prompts", "vector_prompts"]

TINA = "tina"
UNSEEN = "tina, fitted without names and labels near the classes"
CLIP_RIDGE = 3.0
"""Strength of the ridge regression from CLIP vectors, as the question was put."""

WORD_RIDGE = 3.0
"""Strength of the ridge regression from MiniLM, chosen on the classes for choosing; see `choose.py`."""

CLIP_KERNEL, WORD_KERNEL = (2.0, 0.1), (4.0, 0.3)
"""Sharpness and strength of the kernel regressions, chosen in the same way."""


@dataclass(frozen=True, eq=False)
class PromptKind:
    """One kind of prompts, and everything that is measured with it.

    Attributes:
        title: of its table.
        classes: the classes that have such a prompt.
        groups: name of a part of the classes -> its classes.
        methods: name -> method.
    """

    title: str
    classes: list[int]
    groups: dict[str, list[int]]
    methods: dict[str, Logits]


def _groups(texts: Sequence[ClassText], vocabulary: Vocabulary, classes: list[int]) -> dict[str, list[int]]:
    labels = [spellings(word) for label in vocabulary.labels for word in synonyms(label)]
    outside_labels = [label for label in classes if not same_name_as(texts[label].name, labels)]
    outside_vocabulary = [label for label in classes if not same_name_as(texts[label].name, vocabulary.words())]
    return {
        "all names": classes,
        "outside ImageNet's labels": outside_labels,
        "outside the vocabulary": outside_vocabulary,
    }


def _baselines(texts: Texts, truth: Truth, strength: float, kernel_settings: tuple[float, float]) -> dict[str, Logits]:
    average = truth.weight_MD.mean(dim=0).expand(len(texts.prompts_KE), -1)
    return {
        "ridge regression": by_cosine(texts.fitted(ridge(strength), truth)),
        "kernel regression": by_cosine(texts.fitted(kernel(*kernel_settings), truth)),
        "nearest label's row": by_cosine(texts.fitted(nearest, truth)),
        "MLP regression": by_cosine(texts.fitted(mlp, truth)),
        "the network's own answer in the task's words": by_own_answer(texts, truth),
        "average row, no text": by_cosine(average),
    }


def vector_prompts(
    texts: Sequence[ClassText], vocabulary: Vocabulary, truth: Truth, generator: Generator | None, encoder: str
) -> PromptKind:
    """Return what is measured with names with CLIP vectors.

    Args:
        texts: K names.
        vocabulary: the vectors.
        truth: the frozen network's own layer.
        generator: None: only the baselines.
        encoder: the spec of an encoder that reads the same vectors.
    """
    entries = [vocabulary.entries(text.name) for text in texts]
    classes = [label for label, found in enumerate(entries) if found]
    vectors = np.zeros((len(texts), vocabulary.label_vectors_ME.shape[1]), dtype=np.float32)
    for label in classes:
        vectors[label] = vocabulary.vector(entries[label])
    both = Texts(vocabulary.label_vectors_ME, vectors)
    groups = _groups(texts, vocabulary, classes)
    del groups["outside the vocabulary"]  # every name here has a vector
    near = leaks(vocabulary.labels, both.labels_ME, [texts[label].name for label in classes], vectors[classes])
    methods: dict[str, Logits] = {}
    if generator is not None:
        prompts = [
            prompt.text(*found, label=text.name) if found else None for found, text in zip(entries, texts, strict=True)
        ]
        methods[TINA] = by_generator(generator, prompts, encoder)
    methods |= _baselines(both, truth, CLIP_RIDGE, CLIP_KERNEL)
    methods[f"kernel regression without {near.sum()} labels near the classes"] = by_cosine(
        both.fitted(kernel(*CLIP_KERNEL), truth, near)
    )
    if generator is not None:
        names = [text.name for text in texts]
        methods["tina, random vectors"] = by_random_vectors(generator, names)
    return PromptKind("Names with CLIP vectors", classes, groups, methods)


def name_prompts(
    texts: Sequence[ClassText],
    vocabulary: Vocabulary,
    truth: Truth,
    generator: Generator | None,
    unseen_words: Path | None = None,
) -> PromptKind:
    """Return what is measured with names in words, read by the generator's own encoder.

    Args:
        texts: K names.
        vocabulary: tells which names the encoder was fitted to.
        truth: the frozen network's own layer.
        generator: None: only the baselines.
        unseen_words: folder of an encoder that was fitted without names near these classes.
    """
    names = [text.name for text in texts]
    both = _minilm_texts(vocabulary, [f"a photo of a {name}" for name in names])
    methods: dict[str, Logits] = {}
    if generator is not None:
        methods[TINA] = by_generator(generator, names)
    if unseen_words is not None:
        methods[UNSEEN] = _unseen(texts, vocabulary, truth, unseen_words, names)
    methods |= _baselines(both, truth, WORD_RIDGE, WORD_KERNEL)
    classes = list(range(len(texts)))
    return PromptKind("Names in words", classes, _groups(texts, vocabulary, classes), methods)


def description_prompts(
    texts: Sequence[ClassText],
    vocabulary: Vocabulary,
    truth: Truth,
    generator: Generator | None,
    unseen_words: Path | None = None,
) -> PromptKind:
    """Return what is measured with descriptions without names. The arguments are those of `name_prompts`."""
    descriptions = [text.description for text in texts]
    both = _minilm_texts(vocabulary, descriptions)
    methods: dict[str, Logits] = {}
    if generator is not None:
        prompts: list[Any] = [prompt.text(text.description, label=text.name) for text in texts]
        methods[TINA] = by_generator(generator, prompts)
    if unseen_words is not None:
        methods[UNSEEN] = _unseen(texts, vocabulary, truth, unseen_words, descriptions)
    methods |= _baselines(both, truth, WORD_RIDGE, WORD_KERNEL)
    classes = list(range(len(texts)))
    return PromptKind("Descriptions", classes, {"all classes": classes}, methods)


def _unseen(
    texts: Sequence[ClassText], vocabulary: Vocabulary, truth: Truth, folder: Path, prompts: Sequence[str]
) -> Logits:
    """Return what tina would be if neither its encoder nor its rows had known a name near the classes."""
    reader = PhotoWords(folder)
    vectors = vocabulary.centred(reader.encode_text(prompts))
    names = [text.name for text in texts]
    # The vectors of CLIP where there are some: these are what the leak rule is about.
    known = [vocabulary.vector(found) for found in map(vocabulary.entries, names) if found]
    said = vocabulary.centred(reader.encode_text(names))
    near = leaks(vocabulary.labels, vocabulary.label_vectors_ME, names, np.concatenate([said, np.array(known)]))
    rows = Texts(vocabulary.label_vectors_ME, vectors).fitted(kernel(*CLIP_KERNEL), truth, near)
    return by_cosine(rows)


def _minilm_texts(vocabulary: Vocabulary, prompts: Sequence[str]) -> Texts:
    reader = load_minilm()
    labels = reader.embed([f"a photo of a {label}" for label in vocabulary.labels])
    return Texts.centred(labels, reader.embed(prompts))
