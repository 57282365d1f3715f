"""Test the text tower with a fit of a few names."""

from __future__ import annotations

import numpy as np
import pytest

from tina_framework.builtins.encoders.clip_lite_text import KernelSettings, TextTower, canonical, singular, words
from tina_framework.errors import PromptError

NAMES = ["red fox", "arctic fox", "grey wolf", "red apple", "green apple", "bus", "school bus", "glasses", "glass"]
SETTINGS = KernelSettings()
GOAL = np.random.default_rng(1).normal(size=(len(NAMES), 16)).astype(np.float32)


@pytest.fixture(scope="module")
def tower() -> TextTower:
    mean = GOAL.mean(axis=0)
    tensors = TextTower.untrained(NAMES, mean, SETTINGS)
    untrained = TextTower(tensors, SETTINGS)
    kernel = np.stack([untrained.kernel(name, row)[0] for row, name in enumerate(NAMES)])
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-5)
    tensors["coefficients"] = np.linalg.solve(kernel + SETTINGS.noise * np.eye(len(NAMES)), GOAL - mean)
    return TextTower(tensors, SETTINGS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pickup_Truck", "pickup truck"),
        ("  T-shirt ", "t shirt"),
        ("An apple.", "apple"),
        ("the  Monitor/TV", "monitor tv"),
        ("a", "a"),
        ("Devil\N{RIGHT SINGLE QUOTATION MARK}s needle", "devil's needle"),
        ("ÉTÉ", "été"),
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert canonical(text) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize("text", ["", "  ", "?!", "__-"])
def test_text_without_a_letter_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="no letter or digit"):
        canonical(text)


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("apples", "apple"),
        ("butterflies", "butterfly"),
        ("foxes", "fox"),
        ("bus", "bus"),
        ("glass", "glass"),
        ("iris", "iris"),
    ],
)
def test_singular(plural: str, expected: str) -> None:
    assert singular(plural) == expected


def test_words_keep_their_apostrophes() -> None:
    assert words("devil's needle, (tool) 7-up") == ["devil's", "needle", "tool", "7", "up"]


def test_names_of_the_fit_come_back(tower: TextTower) -> None:
    for name, goal in zip(NAMES, GOAL, strict=True):
        reading = tower.read(name)
        assert reading.known
        assert reading.similarity == pytest.approx(1.0)
        shift, expected = reading.vector - tower.mean, goal - tower.mean
        assert shift @ expected / np.linalg.norm(shift) / np.linalg.norm(expected) > 0.999


def test_plurals_count_as_their_singular_unless_they_are_names(tower: TextTower) -> None:
    np.testing.assert_array_equal(tower.read("Red Foxes").vector, tower.read("red fox").vector)
    assert np.abs(tower.read("glasses").vector - tower.read("glass").vector).max() > 0.1


def test_unseen_names_are_close_to_similar_names(tower: TextTower) -> None:
    reading = tower.read("swift fox")
    assert not reading.known
    shift = reading.vector - tower.mean
    cosines = (GOAL - tower.mean) @ shift / np.linalg.norm(GOAL - tower.mean, axis=1)
    assert int(cosines.argmax()) in (0, 1)


def test_a_text_that_shares_nothing_is_close_to_the_mean(tower: TextTower) -> None:
    assert tower.read("ŷŷŷ").length < 0.5 * tower.read("red fox").length


def test_unknown_words(tower: TextTower) -> None:
    assert tower.unknown_words("purple foxes on a bus") == ["purple", "on", "a"]
