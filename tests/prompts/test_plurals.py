"""Test the singulars of English nouns."""

from __future__ import annotations

import pytest

from tina_framework.prompts.plurals import singular, singulars


@pytest.mark.parametrize(
    "pair",
    [
        "apples apple",
        " buses bus",
        " mice mouse",
        " people person",
        " wolves wolf",
        " leaves leaf",
        " women woman",
        " snowmen snowman",
        " butterflies butterfly",
        "\n    poppies poppy",
        " ties tie",
        " movies movie",
        " houses house",
        " roses rose",
        " horses horse",
        " foxes fox",
        " couches couch",
        " brushes brush",
        " glasses glass",
        "\n    walruses walrus",
        " potatoes potato",
        " shoes shoe",
        " gloves glove",
        " stoves stove",
        " bridges bridge",
        " plates plate",
        " rhinos rhino",
        "\n    bees bee",
        " axes axe",
        " trees tree",
        " keys key",
    ],
)
def test_plurals(pair: str) -> None:
    plural, one = pair.split()
    assert singular(plural) == one


@pytest.mark.parametrize(
    "name",
    [
        "bus",
        "glass",
        "grass",
        "cactus",
        "tennis",
        "scissors",
        "lens",
        "sheep",
        "fish",
        "iris",
        "series",
        "apple",
        "men's",
        "s",
    ],
)
def test_singulars_are_not_changed(name: str) -> None:
    assert singular(name) == name


def test_the_last_word_counts_and_case_is_kept() -> None:
    assert singular("pickup trucks") == "pickup truck"
    assert singular("Mice") == "Mouse"
    assert singulars("buses bus") == ()


def test_less_likely_singulars_follow() -> None:
    assert "dwarf" in singulars("dwarves")
    assert "pixie" in singulars("pixies")
