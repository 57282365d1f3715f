"""What an encoder itself says about how well it understood a prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tina_framework.interfaces.encoder import Encoder, KnowsWords
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.familiarity import WARN_BELOW
from tina_framework.prompts.known_names import KnownNames

__all__ = ["prompt_warnings"]

_TRUSTED = 0.5
"""Texts of lower confidence are warned about, unless the encoder has a limit of its own."""


def prompt_warnings(conditions: Sequence[EncodedTask], encoder: Encoder) -> list[str]:
    """One sentence for every name that the encoder is unsure about."""
    unsure: dict[str, float] = {}
    texts: dict[str, tuple[str, ...]] = {}
    for condition in conditions:
        if condition.confidence is None:
            continue
        read = [prompt.texts for prompt in condition.prompts] or [(name,) for name in condition.class_names]
        for name, value, words in zip(condition.class_names, condition.confidence.tolist(), read, strict=True):
            # Of one label that is said in several ways, the worst; NaN: nothing was said in words.
            if value < unsure.get(name, math.inf):
                unsure[name], texts[name] = value, words
    # An encoder that knows its own limit says so.
    limit = float(getattr(encoder, "warn_below", _TRUSTED))
    sentences = []
    for name, value in unsure.items():
        if value >= limit:
            continue
        said = texts[name]  # a description's label is not what was read
        unknown = encoder.unknown_words(said) if isinstance(encoder, KnowsWords) else []
        new = f"; it does not know {', '.join(repr(word) for word in unknown)}" if unknown else ""
        sentences.append(
            f"{encoder.name} is unsure what {_quoted(name, said)} (confidence {value:.2f} of 1{new}), so the classifier may miss "
            "this class. Use another word, or another encoder."
        )
    return (
        _slips(conditions) + sentences + _strange(conditions, {name for name, value in unsure.items() if value < limit})
    )


def _quoted(name: str, said: Sequence[str]) -> str:
    if [text.strip() for text in said] == [name]:
        return f"'{name}' means"
    return f"the words for '{name}' mean"


def _slips(conditions: Sequence[EncodedTask]) -> list[str]:
    """One sentence for every text that was taken for a misspelt name. Synonyms and plurals go without saying."""
    read_as = {text: name for condition in conditions for text, name in condition.read_as.items()}
    return [
        f"'{text}' was read as '{name}'. If it is something else, say it in other words or with pictures."
        for text, name in read_as.items()
        if KnownNames([name]).find(text) is None
    ]


def _strange(conditions: Sequence[EncodedTask], told: set[str]) -> list[str]:
    """One sentence for every class that resembles none the generator was trained on, apart from those `told` already."""
    strange: dict[str, tuple[float, str]] = {}
    for condition in conditions:
        if condition.familiarity is not None:
            rows = zip(condition.class_names, condition.familiarity.tolist(), condition.nearest, strict=True)
            strange |= {name: (value, nearest) for name, value, nearest in rows if value < WARN_BELOW}
    return [
        f"'{name}' resembles no class that the generator was trained on (familiarity {value:.2f} of 1, nearest: '{nearest}'), so "
        "the classifier may miss it. Say it in other words or with more pictures, or train a generator on it."
        for name, (value, nearest) in strange.items()
        if name not in told
    ]
