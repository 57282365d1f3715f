"""Encoders of plugins: what is harmless is converted, everything else is refused with a sentence that names the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.errors import PluginError, PromptError
from tina_framework.interfaces.encoder import ComparesTexts, Encoder, ImageEncoder, KnowsWords, StatesConfidence
from tina_framework.plugin.checked_encoder import checked_encoder

WHAT = "Encoder 'sounds' of 'tina-sounds'"


class Sounds:
    name, dim, space, templates = "sounds", 4, "space", ("a {}",)

    def __init__(self, answer: Callable[[int], Any] = lambda n: np.ones((n, 4), np.float32), **fields: Any) -> None:
        self.answer = answer
        vars(self).update(fields)

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return self.answer(len(texts))


class Everything(Sounds):
    def encode_images(self, images: Sequence[Any]) -> Any:
        return self.answer(len(images))

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Any:
        return self.answer(len(texts))

    def text_confidence(self, texts: Sequence[str]) -> Any:
        return self.answer(len(texts))

    def unknown_words(self, texts: Sequence[str]) -> Any:
        return self.answer(len(texts))


def fails(n: int) -> Any:
    raise KeyError("weights")


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: np.ones((n, 4), np.float16),
        lambda n: np.ones((n, 4), np.float64),
        lambda n: np.ones((n, 4), np.int64),
        lambda n: [[1.0] * 4] * n,
        lambda n: torch.ones(n, 4),
        lambda n: torch.ones(n, 4, dtype=torch.bfloat16, requires_grad=True),
        lambda n: torch.ones(n, 4, dtype=torch.int64),
    ],
)
def test_what_means_the_same_is_converted(answer: Callable[[int], Any]) -> None:
    encoder = checked_encoder(Sounds(answer), WHAT)
    rows = encoder.encode_text(["a", "b"])
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.ones((2, 4)))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda n: np.ones((n, 5)), r"returned an array of shape \(2, 5\); \(2, 4\) was expected"),
        (lambda n: np.ones((4,)), r"returned an array of shape \(4,\); return a float32 array of shape \(2, 4\)"),
        (lambda n: np.ones((n + 1, 4)), r"returned an array of shape \(3, 4\)"),
        (lambda n: np.full((n, 4), np.nan), r"returned a vector that is not finite \(number 1 of 2\)"),
        (lambda n: np.full((n, 4), 1e300), "returned a vector that is not finite"),
        (lambda n: None, "returned a NoneType, None; return a float32 array"),
        (lambda n: [[1.0], [1.0, 2.0]], "not an array of shape"),
        (lambda n: np.array([["a"] * 4] * n), "returned an array of <U1"),
        (lambda n: {"a": 1}, r"returned a dict, \{'a': 1\}"),
        (fails, "failed in encode_text: KeyError: 'weights'"),
    ],
)
def test_wrong_vectors_are_refused(answer: Callable[[int], Any], sentence: str) -> None:
    encoder = checked_encoder(Sounds(answer), WHAT)
    with pytest.raises(PluginError, match=sentence) as caught:
        encoder.encode_text(["a", "b"])
    assert str(caught.value).startswith(WHAT)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (None, "is None, which has no name"),
        (Sounds, "which has no instance"),
        (Sounds(dim="4"), "dim is '4'"),
        (Sounds(dim=0), "dim is 0"),
        (Sounds(dim=True), "dim is True"),
        (Sounds(space=None), "space is None"),
        (Sounds(templates="a {}"), r"templates is 'a \{\}'; it must be a tuple"),
        (Sounds(templates=()), r"templates is \(\)"),
        (Sounds(templates=(1,)), "templates has the entry 1"),
    ],
)
def test_a_malformed_description_is_refused(made: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence) as caught:
        checked_encoder(made, WHAT)
    assert str(caught.value).startswith(WHAT)


def test_optional_methods_stay_optional_and_are_checked() -> None:
    kinds = (ImageEncoder, ComparesTexts, KnowsWords, StatesConfidence)
    plain, full = checked_encoder(Sounds(), WHAT), checked_encoder(Everything(), WHAT)
    assert isinstance(plain, Encoder)
    assert [isinstance(plain, kind) for kind in kinds] == [False] * 4
    assert [isinstance(full, kind) for kind in kinds] == [True] * 4
    assert full.encode_images([1, 2]).shape == (2, 4)
    assert full.comparison_vectors(["a"]).shape == (1, 4)
    with pytest.raises(PluginError, match=r"text_confidence returned an array of shape \(1, 4\)"):
        full.text_confidence(["a"])
    with pytest.raises(PluginError, match="text_confidence returned values between 2 and 2"):
        checked_encoder(Everything(lambda n: [2.0] * n), WHAT).text_confidence(["a"])
    with pytest.raises(PluginError, match="unknown_words returned 'word'; return a list of words"):
        checked_encoder(Everything(lambda n: "word"), WHAT).unknown_words(["a"])


def test_errors_on_purpose_pass_and_other_attributes_are_those_of_the_plugin() -> None:
    def refuses(n: int) -> Any:
        raise PromptError("unknown word")

    encoder = checked_encoder(Sounds(refuses, extra=7), WHAT)
    assert encoder.extra == 7
    with pytest.raises(PromptError, match=r"^unknown word$"):
        encoder.encode_text(["a"])
