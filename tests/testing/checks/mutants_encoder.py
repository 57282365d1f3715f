"""Encoders, each broken in one way."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tina_framework.errors import PromptError

__all__ = ["MUTANTS", "Sound"]


class Sound:
    """Nothing wrong with it; the mutants change one thing each."""

    name, dim, space, templates = "sound", 8, "toy/space", ("{}", "a {}")

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        if template >= len(self.templates) or any(not text.strip() for text in texts):
            raise PromptError("Give a template that exists, and a word.")
        rows = [np.random.default_rng(zlib.crc32(f"{template} {text}".encode())).normal(size=8) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 8)

    def text_confidence(self, texts: Sequence[str]) -> Any:
        return np.array([1 / (1 + len(text)) for text in texts], dtype=np.float32)

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Any:
        return Sound.encode_text(self, texts, template)[:, :5]

    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        rows = [np.asarray(image.resize((2, 2)), dtype=np.float32).ravel()[:8] + 1 for image in images]
        return np.array(rows, dtype=np.float32).reshape(len(images), 8)


class TooNarrow(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text(texts, template)[:, :4]


class InDoubles(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text(texts, template).astype(np.float64)


class NotANumber(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        vectors = super().encode_text(texts, template)
        vectors[[len(text) > 20 for text in texts]] = np.nan
        return vectors


class NothingForLongTexts(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        vectors = super().encode_text(texts, template)
        vectors[[len(text) > 20 for text in texts]] = 0
        return vectors


class OneRowShortOfNone(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text(texts or ["nothing"], template)


class Forgetful(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        vectors = super().encode_text(texts, template)
        return vectors + np.random.normal(size=vectors.shape).astype(np.float32)


class HandsOutItsTable(Sound):
    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        key = (*texts, template)
        if key not in self.kept:
            self.kept[key] = super().encode_text(texts, template)
        return self.kept[key]


class CentresTheBatch(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        vectors = super().encode_text(texts, template)
        return vectors - vectors.sum(axis=0, keepdims=True) / (2 * max(len(texts), 1))


class PadsWithoutAMask(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text(texts, template) * max((len(text) for text in texts), default=1)


class ByPlace(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        vectors = super().encode_text(texts, template)
        vectors[:, 0] += np.arange(len(texts))
        return vectors


class ForgetsToPutBack(Sound):
    """Sorts texts after the first by length, and leaves them so."""

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text([*texts[:1], *sorted(texts[1:], key=len)], template)


class ReadsTheFirstLetter(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return super().encode_text([text[:1] for text in texts], template)


class StripsTheCallersList(Sound):
    def encode_text(self, texts: Any, template: int = 0) -> Any:
        for place, text in enumerate(texts):
            if isinstance(texts, list):
                texts[place] = text.upper()
        return super().encode_text([text.upper() for text in texts], template)


class ListsOnly(Sound):
    def encode_text(self, texts: Any, template: int = 0) -> Any:
        return super().encode_text(texts.copy(), template)


class LacksATemplate(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        if template == 1:
            raise PromptError("There is no template 1.")
        return super().encode_text(texts, template)


class IndexErrorForTemplates(Sound):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        assert self.templates[template]
        return super().encode_text(texts, template)


class TemplateWithoutAPlace(Sound):
    templates = ("a photo",)


class Overconfident(Sound):
    def text_confidence(self, texts: Sequence[str]) -> Any:
        return np.array([len(text) / 10 for text in texts], dtype=np.float32)


class OneConfidenceForAll(Sound):
    def text_confidence(self, texts: Sequence[str]) -> Any:
        return np.array([0.5], dtype=np.float32)


class ConfidenceByPlace(Sound):
    def text_confidence(self, texts: Sequence[str]) -> Any:
        return np.linspace(0, 1, len(texts))


class ComparesByPlace(Sound):
    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Any:
        return np.arange(len(texts))[:, None] + np.ones((1, 3))


class ComparesByOneNumber(Sound):
    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Any:
        return np.ones(len(texts))


class FlatPictures(Sound):
    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        return super().encode_images(images)[:, :4]


class ShrinksTheCallersPictures(Sound):
    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        for image in images:
            image.thumbnail((8, 8))
        return super().encode_images(images)


class NormalisesPictures(Sound):
    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        vectors = super().encode_images(images)
        return vectors / max(float(vectors.max(initial=0)), 1e-6)


MUTANTS = [
    (TemplateWithoutAPlace(), "check_description"),
    (TooNarrow(), "check_text_vectors"),
    (InDoubles(), "check_text_vectors"),
    (NotANumber(), "check_text_vectors"),
    (NothingForLongTexts(), "check_text_vectors"),
    (OneRowShortOfNone(), "check_empty_batch"),
    (Forgetful(), "check_deterministic"),
    (HandsOutItsTable(), "check_deterministic"),
    (CentresTheBatch(), "check_batch_invariance"),
    (PadsWithoutAMask(), "check_batch_invariance"),
    (ByPlace(), "check_order"),
    (ForgetsToPutBack(), "check_order"),
    (ReadsTheFirstLetter(), "check_texts_differ"),
    (StripsTheCallersList(), "check_inputs_unchanged"),
    (ListsOnly(), "check_inputs_unchanged"),
    (LacksATemplate(), "check_templates"),
    (IndexErrorForTemplates(), "check_templates"),
    (Overconfident(), "check_confidence"),
    (OneConfidenceForAll(), "check_confidence"),
    (ConfidenceByPlace(), "check_confidence"),
    (ComparesByPlace(), "check_comparison"),
    (ComparesByOneNumber(), "check_comparison"),
    (FlatPictures(), "check_image_vectors"),
    (ShrinksTheCallersPictures(), "check_image_vectors"),
    (NormalisesPictures(), "check_image_batch_invariance"),
]
