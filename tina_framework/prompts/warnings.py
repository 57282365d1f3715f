"""Warn about prompts that were probably not understood."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Mapping, Sequence

import numpy as np

from tina_framework.errors import shorten
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.encoder import Encoder, KnowsWords
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.encoding import unit_rows
from tina_framework.prompts.familiarity import MIN_CONFIDENCE, WARN_BELOW
from tina_framework.prompts.known_names import KnownNames

__all__ = ["prompt_warnings"]

_SHOWN = 5
"""Maximum number of unknown words that a warning names."""

_MAX_SENTENCES = 10
"""More classes than this with the same problem share one sentence, which names the worst of them."""


_SAME_DIRECTION = 0.99999
"""Cosine from which two vectors count as equal. Those of synonyms are farther apart: about 0.96."""

_MAX_COMPARED = 1000
"""Tasks of more classes are not searched for equal vectors, because the time grows with the square of their number."""


def prompt_warnings(
    tasks: Sequence[EncodedTask], encoder: Encoder, trained_names: Collection[str] = frozenset()
) -> list[str]:
    """Return one sentence for each problem, and each class once. Many classes with the same problem share a sentence.

    There are four problems: a text was read as a misspelt name, two classes have the same vector, the encoder is unsure about the
    words of a class, or a class resembles no known class.

    Args:
        tasks: what was read.
        encoder: the encoder that read it.
        trained_names: the names that the generator was trained on through this encoder. It learnt what their vectors mean, so
            the encoder's doubts about them do not matter.
    """
    trained = frozenset(map(fold, trained_names))
    confidences, texts = _lowest_confidences(tasks, trained)
    limit = float(getattr(encoder, "warn_below", MIN_CONFIDENCE))
    unsure = {name: value for name, value in confidences.items() if value < limit}
    return (
        _misspelt_warnings(tasks)
        + _equal_warnings(tasks, encoder)
        + _confidence_warnings(unsure, texts, encoder)
        + _familiarity_warnings(tasks, skipped=unsure.keys())
    )


def _lowest_confidences(
    tasks: Sequence[EncodedTask], trained: Collection[str]
) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    """Return the lowest confidence of each label over all tasks, and the texts that it belongs to.

    A class is left out if all of its texts mean names in `trained`. These names are folded.
    """
    confidences: dict[str, float] = {}
    texts: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        if task.confidence is None:
            continue
        texts_by_class = [prompt.texts for prompt in task.prompts] or [(name,) for name in task.class_names]
        for name, value, words in zip(task.class_names, task.confidence.tolist(), texts_by_class, strict=True):
            if all(fold(task.read_as.get(text, text)) in trained for text in words):
                continue
            # The comparison is False for NaN, the confidence of a class without words.
            if value < confidences.get(name, math.inf):
                confidences[name], texts[name] = value, words
    return confidences, texts


def _confidence_warnings(
    unsure: Mapping[str, float], texts: Mapping[str, Sequence[str]], encoder: Encoder
) -> list[str]:
    if len(unsure) > _MAX_SENTENCES:
        return [
            f"{encoder.name} is unsure what {len(unsure)} of the classes mean, so the classifier may miss them: "
            f"{_lowest(unsure)}. Use other words, another encoder, or another generator (`tina list generators`)."
        ]
    return [_confidence_warning(name, value, texts[name], encoder) for name, value in unsure.items()]


def _lowest(values: Mapping[str, float]) -> str:
    """Return the names of the lowest values, and how many more there are."""
    names = sorted(values, key=lambda name: values[name])
    return f"{', '.join(shorten(name, 40) for name in names[:_SHOWN])} and {len(names) - _SHOWN} more"


def _confidence_warning(name: str, confidence: float, texts: Sequence[str], encoder: Encoder) -> str:
    unknown = encoder.unknown_words(texts) if isinstance(encoder, KnowsWords) else []
    details = f"confidence {confidence:.2f} of 1"
    if unknown:
        more = f" and {len(unknown) - _SHOWN} other words" if len(unknown) > _SHOWN else ""
        details += f"; it does not know {', '.join(shorten(word, 40) for word in unknown[:_SHOWN])}{more}"
    # The encoder reads the words of a description and not its label.
    is_name = list(texts) == [name]
    subject = f"{shorten(name)} means" if is_name else f"the words for {shorten(name)} mean"
    return (
        f"{encoder.name} is unsure what {subject} ({details}), so the classifier may miss this class. Use another word, "
        "another encoder, or another generator (`tina list generators`)."
    )


def _misspelt_warnings(tasks: Sequence[EncodedTask]) -> list[str]:
    """Return one sentence for each text that was read as a misspelt name. Synonyms and plurals need no warning."""
    read_as = {text: name for task in tasks for text, name in task.read_as.items()}
    return [
        f"{shorten(text)} was read as {shorten(name)}. If it is something else, use other words or pictures."
        for text, name in read_as.items()
        if KnownNames([name]).find(text) is None
    ]


def _equal_warnings(tasks: Sequence[EncodedTask], encoder: Encoder) -> list[str]:
    """Return one sentence for each pair of classes whose vectors have the same direction."""
    found: dict[tuple[str, str], None] = {}
    for task in tasks:
        # Vectors of one number can only be positive or negative, so most of them would count as equal.
        if len(task) > _MAX_COMPARED or task.vectors.shape[1] == 1:
            continue
        unit_KE = unit_rows(task.vectors)
        first, second = np.nonzero(np.triu(unit_KE @ unit_KE.T > _SAME_DIRECTION, k=1))
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            found[task.class_names[i], task.class_names[j]] = None
    return [
        f"{shorten(one)} and {shorten(other)} mean the same to {encoder.name}, so the classifier cannot tell them apart. "
        "Remove one of them, or use other words."
        for one, other in list(found)[:_MAX_SENTENCES]
    ]


def _familiarity_warnings(tasks: Sequence[EncodedTask], skipped: Container[str]) -> list[str]:
    """Return one sentence for each class that resembles no known class, except for the `skipped` ones."""
    unfamiliar: dict[str, tuple[float, str]] = {}
    for task in tasks:
        if task.familiarity is not None:
            rows = zip(task.class_names, task.familiarity.tolist(), task.nearest, strict=True)
            unfamiliar |= {name: (value, nearest) for name, value, nearest in rows if value < WARN_BELOW}
    shown = {name: entry for name, entry in unfamiliar.items() if name not in skipped}
    if len(shown) > _MAX_SENTENCES:
        return [
            f"{len(shown)} of the classes resemble no class that the generator was trained on, so the classifier may miss them: "
            f"{_lowest({name: value for name, (value, _) in shown.items()})}. Use other words or another generator "
            "(`tina list generators`), show pictures, or train a generator on them."
        ]
    return [
        f"{shorten(name)} resembles no class that the generator was trained on (familiarity {value:.2f} of 1, nearest: "
        f"{shorten(nearest)}), so the classifier may miss it. Use other words or another generator (`tina list generators`), "
        "show pictures, or train a generator on it."
        for name, (value, nearest) in shown.items()
    ]
