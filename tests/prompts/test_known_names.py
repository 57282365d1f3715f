"""Test the search for the known class that a name means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import pytest

from tests.conftest import ToyEncoder
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.known_names import KnownNames, match_known_names


@pytest.fixture(scope="module")
def known() -> KnownNames:
    config = resources.files("tina_framework") / "pretrained" / "cifar100-cnn" / "config.json"
    if not config.is_file():
        pytest.skip("the bundled checkpoint is not in the tree")
    return KnownNames(json.loads(config.read_text(encoding="utf-8"))["class_names"])


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("sofa", "couch"),
        ("Sofas", "couch"),
        ("the sofa", "couch"),
        ("pick-up truck", "pickup truck"),
        ("lawnmower", "lawn mower"),
        ("street car", "streetcar"),
        ("trams", "streetcar"),
        ("motorbikes", "motorcycle"),
        ("tv", "television"),
        ("cell phone", "telephone"),
        ("mobile_phones", "telephone"),
        ("mice", "mouse"),
        ("wolves", "wolf"),
        ("women", "woman"),
        ("an apple", "apple"),
        ("cows", "cattle"),
        # Known themselves, whatever their spelling: nothing to be read in another way.
        ("couch", None),
        ("Lawn-Mower", None),
        # Unknown, and another word for nothing known.
        ("aeroplane", None),
        ("tortoise", None),
        ("a large grey animal with a trunk", None),
        ("", None),
    ],
)
def test_find(known: KnownNames, name: str, meaning: str | None) -> None:
    assert known.find(name) == meaning


def test_a_known_name_is_not_replaced_by_its_synonym() -> None:
    both = KnownNames(["couch", "sofa"])
    assert both.find("sofa") is None
    assert both.find("couch") is None
    assert both.find("settees") == "couch"


def test_known_plurals_are_found_from_the_singular() -> None:
    assert KnownNames(["Grapes", "Sunglasses"]).find("grape") == "Grapes"
    # A class that is itself called so comes first.
    assert KnownNames(["glasses", "glass"]).find("glass") is None


def test_without_known_names_nothing_is_found() -> None:
    assert KnownNames().find("sofas") is None


def test_find_misspelt() -> None:
    names = KnownNames(["apple", "leopard", "maple tree", "oak tree", "bee", "otter", "possum"])
    for slipped, meant in (("aplle", "apple"), ("leopart", "leopard"), ("mapel-tree", "maple tree"), ("oter", "otter")):
        assert names.find_misspelt(slipped) == meant
    assert names.find_misspelt("bea") is None  # too short to tell
    assert names.find_misspelt("zebra") is None
    assert names.find_misspelt("leobatd") is None  # two slips in a short word
    assert KnownNames(["chimpanzee", "bicycle"]).find_misspelt("chimpansees") == "chimpanzee"
    assert KnownNames(["bicycle"]).find_misspelt("tricycle") is None
    assert KnownNames(["shark", "sharp"]).find_misspelt("sharl") is None  # two are as close
    assert KnownNames().find_misspelt("aplle") is None


KNOWN = KnownNames(["beaver", "bear", "couch", "leopard"])


class Spelling(ToyEncoder):
    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        return [text for text in texts if text not in ("beaver", "bear", "couch", "sofa", "leopards", "bears")]


def read(*texts: str) -> dict[str, str]:
    return match_known_names([ClassPrompt(text, (text,)) for text in texts], KNOWN, Spelling())


def test_synonyms_plurals_and_misspelt_names_are_matched() -> None:
    assert read("sofa", "leopards", "beaveer", "bear") == {"sofa": "couch", "leopards": "leopard", "beaveer": "beaver"}


def test_a_misspelt_name_is_not_matched_to_another_class_of_the_task() -> None:
    assert read("leopart", "bear") == {"leopart": "leopard"}
    assert read("leopart", "leopard") == {}
    assert read("leopart", "leopards") == {"leopards": "leopard"}


def test_two_misspelt_names_are_not_matched_to_one_class() -> None:
    assert read("leopart", "leoparrd") == {}


def test_without_a_vocabulary_misspelt_names_are_not_matched() -> None:
    assert match_known_names([ClassPrompt("leopart", ("leopart",))], KNOWN, ToyEncoder()) == {}
