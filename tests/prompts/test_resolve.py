"""Names become conditions: folding, every refusal, and how often the encoder is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tina_framework.errors import PromptError
from tina_framework.prompts.resolve import fold, resolve_names, resolve_tasks


class CountingEncoder:
    name, dim, space, templates = "counting", 3, "s", ("{}", "a {}")

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        self.calls.append(list(texts))
        return np.array([[len(text), template, ord(text[0])] for text in texts], dtype=np.float64)


class SureEncoder(CountingEncoder):
    def text_confidence(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([1 / len(text) for text in texts], dtype=np.float32)


def test_condition_holds_names_keys_and_vectors() -> None:
    condition = resolve_names([" Aquarium_Fish ", "bee"], CountingEncoder(), template=1)
    assert condition.class_names == ("Aquarium_Fish", "bee")
    assert condition.keys == ("aquarium fish", "bee")
    assert condition.vectors.dtype == np.float32
    np.testing.assert_array_equal(condition.vectors, [[13, 1, ord("A")], [3, 1, ord("b")]])
    assert condition.confidence is None
    assert len(condition) == 2


def test_underscores_are_spaces_to_the_encoder_and_the_rest_is_as_written() -> None:
    encoder = CountingEncoder()
    resolve_names(["Aquarium_ fish", "T-shirt"], encoder)
    assert encoder.calls == [["Aquarium fish", "T-shirt"]]


def test_every_name_is_encoded_once_over_all_tasks() -> None:
    encoder = CountingEncoder()
    conditions = resolve_tasks([["ant", "bee"], ["bee", "wasp"], ["wasp", "ant"]], encoder)
    assert encoder.calls == [["ant", "bee", "wasp"]]
    np.testing.assert_array_equal(conditions[2].vectors, [[4, 0, ord("w")], [3, 0, ord("a")]])


def test_confidence_follows_the_names() -> None:
    first, second = resolve_tasks([["ant", "beetle"], ["beetle", "ox"]], SureEncoder())
    assert first.confidence is not None
    assert second.confidence is not None
    np.testing.assert_allclose(first.confidence, [1 / 3, 1 / 6])
    np.testing.assert_allclose(second.confidence, [1 / 6, 1 / 2])


@pytest.mark.parametrize(
    ("spelling", "key"),
    [("Pine_Tree", "pine tree"), ("pine - tree ", "pine tree"), ("STRASSE", "strasse"), ("Straße", "strasse")],
)
def test_fold(spelling: str, key: str) -> None:
    assert fold(spelling) == key


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "No class was named"),
        (["ant"], r"Only one class was named \('ant'\)"),
        (["ant", "  "], "number 2 is '  ', which is empty"),
        (["ant", "_-"], "number 2 is '_-', which is empty"),
        (["ant", "bee", "ant"], "'ant' is named twice"),
        (["pine tree", "Pine-Tree"], "'pine tree' and 'Pine-Tree' are the same class"),
        (["pine_tree", "pine tree"], "'pine_tree' and 'pine tree' are the same class"),
        ("ant", "single text 'ant'"),
        (["ant", 3], "3 is not a class name"),
    ],
)
def test_refusals(names: Sequence[str], sentence: str) -> None:
    encoder = CountingEncoder()
    with pytest.raises(PromptError, match=sentence):
        resolve_names(names, encoder)
    assert not encoder.calls


def test_unknown_template_is_refused() -> None:
    with pytest.raises(PromptError, match="Template number 2 does not exist: encoder 'counting' has 2"):
        resolve_names(["ant", "bee"], CountingEncoder(), template=2)


def test_encoder_with_the_wrong_shape_is_blamed() -> None:
    encoder = CountingEncoder()
    encoder.dim = 4  # type: ignore[misc]
    with pytest.raises(PromptError, match=r"shape \(2, 3\) for 2 names.*at fault"):
        resolve_names(["ant", "bee"], encoder)
