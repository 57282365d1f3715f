"""Test how tasks are checked and encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework import prompt
from tina_framework.errors import PromptError
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import encode_task, encode_tasks

KNOWN = ("couch", "bear", "television")


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


def test_a_task_has_names_keys_and_vectors() -> None:
    condition = encode_task([" Aquarium_Fish ", "bee"], CountingEncoder(), template=1)
    assert condition.class_names == ("Aquarium_Fish", "bee")
    assert condition.keys == ("aquarium fish", "bee")
    assert condition.vectors.dtype == np.float32
    np.testing.assert_array_equal(condition.vectors, [[13, 1, ord("A")], [3, 1, ord("b")]])
    assert condition.confidence is None
    assert len(condition) == 2


def test_only_underscores_are_replaced_before_encoding() -> None:
    encoder = CountingEncoder()
    encode_task(["Aquarium_ fish", "T-shirt"], encoder)
    assert encoder.calls == [["Aquarium fish", "T-shirt"]]


def test_every_name_is_encoded_once_over_all_tasks() -> None:
    encoder = CountingEncoder()
    conditions = encode_tasks([["ant", "bee"], ["bee", "wasp"], ["wasp", "ant"]], encoder)
    assert encoder.calls == [["ant", "bee", "wasp"]]
    np.testing.assert_array_equal(conditions[2].vectors, [[4, 0, ord("w")], [3, 0, ord("a")]])


def test_confidence_follows_the_names() -> None:
    first, second = encode_tasks([["ant", "beetle"], ["beetle", "ox"]], SureEncoder())
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
        (["ant", "  "], "number 2 is '', which is empty"),
        (["ant", "_-"], "number 2 is '_-', which is empty"),
        (["ant", "bee", "ant"], "'ant' occurs twice"),
        (["pine tree", "Pine-Tree"], "'pine tree' and 'Pine-Tree' are the same class"),
        (["pine_tree", "pine tree"], "'pine_tree' and 'pine tree' are the same class"),
        ("ant", "single string 'ant'"),
        (["ant", 3], "3 is not a class name"),
    ],
)
def test_refusals(names: Sequence[str], sentence: str) -> None:
    encoder = CountingEncoder()
    with pytest.raises(PromptError, match=sentence):
        encode_task(names, encoder)
    assert not encoder.calls


def test_unknown_template_is_refused() -> None:
    with pytest.raises(PromptError, match="Template number 2 does not exist: encoder 'counting' has 2"):
        encode_task(["ant", "bee"], CountingEncoder(), template=2)


def test_an_array_of_the_wrong_shape_is_refused() -> None:
    encoder = CountingEncoder()
    encoder.dim = 4  # type: ignore[misc]
    with pytest.raises(PromptError, match=r"shape \(2, 3\) for 2 names.*error of the encoder"):
        encode_task(["ant", "bee"], encoder)


class SeeingEncoder(SureEncoder):
    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.array([np.asarray(image)[0, 0] for image in images], dtype=np.float32)


def _direction(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _picture(*colour: int) -> Image.Image:
    return Image.new("RGB", (2, 2), colour)


def test_one_text_or_one_picture_is_the_encoders_own_vector() -> None:
    words, shown = encode_task([prompt.text("insect", label="ant"), _picture(3, 4, 0)], SeeingEncoder()).vectors
    np.testing.assert_array_equal(words, [6, 0, ord("i")])
    np.testing.assert_array_equal(shown, [3, 4, 0])


def test_pictures_are_averaged_as_directions_and_kinds_have_equal_weight() -> None:
    two = prompt.images([_picture(10, 0, 0), _picture(0, 200, 0)], label="bus")
    along_z = prompt.vector([0, 0, 5], label="x")
    shown, both = (encode_task([said, "ant"], SeeingEncoder()).vectors[0] for said in (two, two + along_z))
    np.testing.assert_allclose(_direction(shown), [np.sqrt(1 / 2), np.sqrt(1 / 2), 0], atol=1e-6)
    # One vector weighs as much as the two pictures together.
    np.testing.assert_allclose(_direction(both), [1 / 2, 1 / 2, np.sqrt(1 / 2)], atol=1e-6)


def test_the_order_of_pictures_does_not_matter() -> None:
    several = [_picture(10, 5, 0), _picture(0, 200, 7), _picture(1, 2, 3)]
    one, other = (
        encode_task([prompt.images(order, label="bus"), "ant"], SeeingEncoder()).vectors[0]
        for order in (several, several[::-1])
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_confidence_is_the_mean_over_texts_and_nan_without_texts() -> None:
    condition = encode_task(
        ["ant", _picture(1, 1, 1), prompt.text("ox", "beetle", label="both"), prompt.vector([1, 2, 3], "x")],
        SeeingEncoder(),
    )
    np.testing.assert_allclose(condition.confidence, [1 / 3, np.nan, (1 / 2 + 1 / 6) / 2, np.nan])


def test_prompts_are_kept_if_one_is_more_than_a_name() -> None:
    plain, mixed = encode_tasks([["ant", "bee"], ["ant", prompt.text("insect", label="bee")]], SeeingEncoder())
    assert plain.prompts == ()
    assert [one.label for one in mixed.prompts] == ["ant", "bee"]


def test_pictures_are_encoded_once_a_prompt() -> None:
    calls = []

    class Counting(SeeingEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
            calls.append(len(images))
            return super().encode_images(images)

    bus = prompt.images([_picture(1, 1, 1), _picture(2, 1, 1)], label="bus")
    encode_tasks([["ant", bus], ["bee", "ant"]], Counting())
    assert calls == [2]


def test_prompts_that_the_encoder_cannot_encode_are_refused() -> None:
    shown = prompt.images(_picture(1, 2, 3), label="bus")
    with pytest.raises(PromptError, match=r"'bus' has pictures, but encoder 'counting' reads text only"):
        encode_task(["ant", shown], CountingEncoder())
    with pytest.raises(PromptError, match=r"vector for 'x' has 2 numbers, but those of encoder 'counting' have 3"):
        encode_task(["ant", prompt.vector([1, 2], "x")], CountingEncoder())

    class Short(SeeingEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
            return np.ones((len(images), 2), dtype=np.float32)

    with pytest.raises(PromptError, match=r"shape \(1, 2\) for 1 pictures.*error of the encoder"):
        encode_task(["ant", shown], Short())


@pytest.mark.parametrize(
    "classes",
    [
        [prompt.text("ox", label="a"), prompt.text("ox", label="b")],
        ["ox", prompt.text("ox", label="b")],
        [_picture(1, 2, 3), _picture(1, 2, 3)],
        [prompt.vector([1, 2, 3], "a"), prompt.vector([1, 2, 3], "b")],
    ],
)
def test_two_classes_with_the_same_prompt_are_refused(classes: list[object]) -> None:
    with pytest.raises(PromptError, match="have the same prompt, so the classifier could not tell them apart"):
        encode_task(classes, SeeingEncoder())


def test_different_texts_may_have_the_same_vector() -> None:
    """Evaluation measures such encoders, so they must not raise an error."""
    for classes in (["ant", "asp"], [prompt.text("ant", label="x"), prompt.text("asp", label="y")]):
        vectors = encode_task(classes, CountingEncoder()).vectors
        np.testing.assert_array_equal(vectors[0], vectors[1])


def test_one_prompt_twice_is_refused() -> None:
    bus = prompt.text("a bus", label="bus")
    with pytest.raises(PromptError, match="'bus' occurs twice"):
        encode_task([bus, bus], CountingEncoder())


def test_another_word_for_a_known_class_is_encoded_as_its_name() -> None:
    encoder = CountingEncoder()
    [condition] = encode_tasks(
        [["Sofas", "BEAR", prompt.text("tv", "a screen", label="x")]], encoder, known_names=KNOWN
    )
    assert encoder.calls == [["couch", "BEAR", "television", "a screen"]]
    assert condition.class_names == ("Sofas", "BEAR", "x")
    assert condition.keys == ("couch", "bear", "x")
    assert condition.read_as == {"Sofas": "couch", "tv": "television"}


def test_without_known_names_texts_are_not_changed() -> None:
    encoder = CountingEncoder()
    [condition] = encode_tasks([["sofas", "couch"]], encoder)
    assert encoder.calls == [["sofas", "couch"]]
    assert condition.read_as == {}


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["couch", "sofa"], r"'couch' and 'sofa' are the same class \(the known class 'couch'\)"),
        (["settee", "sofas"], r"'settee' and 'sofas' are the same class \(the known class 'couch'\)"),
        (["bear", "bears"], r"'bear' and 'bears' are the same class \(the known class 'bear'\)"),
        (["bear", "Bear"], r"'bear' and 'Bear' are the same class; every"),
    ],
)
def test_two_names_of_one_known_class_are_refused(classes: list[str], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        encode_tasks([classes], CountingEncoder(), known_names=KNOWN)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["ant", ClassPrompt("bee")], "The prompt of class 'bee' is empty"),
        (["ant", prompt.text("bee", label="-")], "number 2 is '-', which is empty"),
        (["ant", "b\x1b[31m"], r"number 2 has the control character '\\x1b'"),
        (["ant", prompt.text("\ud800x", label="bee")], r"number 2 has the control character '\\ud800'"),
    ],
)
def test_empty_prompts_and_control_characters_are_refused(classes: list[Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        encode_task(classes, CountingEncoder())


def test_other_scripts_are_allowed_and_line_breaks_become_spaces() -> None:
    names = ("\u05d3\u05d5\u05d1", "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645", "a large\ngrey animal")
    assert encode_task(names, CountingEncoder()).class_names == (*names[:2], "a large grey animal")


def test_names_that_look_the_same_are_one_class() -> None:
    for first, second in (("caf\u00e9", "cafe\u0301"), ("ant", "a\u200bnt"), ("pine tree", "pine\u00a0tree")):
        with pytest.raises(PromptError, match="occurs twice"):
            encode_task([first, second], CountingEncoder())
    known = encode_tasks([["cafe\u0301", "ant"]], CountingEncoder(), known_names=["caf\u00e9"])
    assert known[0].keys == ("caf\u00e9", "ant")
