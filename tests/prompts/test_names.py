"""Which known class a name means."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from tina_framework.prompts.names import KnownNames, is_everyday
from tina_framework.prompts.spelling import fold
from tina_framework.prompts.synonyms import GROUPS


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
def test_meaning(known: KnownNames, name: str, meaning: str | None) -> None:
    assert known.meaning(name) == meaning


def test_a_name_that_is_known_beats_its_synonym() -> None:
    both = KnownNames(["couch", "sofa"])
    assert both.meaning("sofa") is None
    assert both.meaning("couch") is None
    assert both.meaning("settees") == "couch"


def test_known_plurals_are_found_from_the_singular() -> None:
    assert KnownNames(["Grapes", "Sunglasses"]).meaning("grape") == "Grapes"
    # A class that is itself called so comes first.
    assert KnownNames(["glasses", "glass"]).meaning("glass") is None


def test_where_nothing_is_known_names_mean_themselves() -> None:
    assert KnownNames().meaning("sofas") is None


def test_the_table_says_nothing_twice() -> None:
    names = [fold(name).replace(" ", "") for group in GROUPS for name in group]
    assert len(names) == len(set(names))
    assert all(len(group) > 1 for group in GROUPS)
    assert is_everyday("mobile phones")
    assert not is_everyday("pepper shakers")


def test_a_slip_of_the_fingers_means_the_one_name_that_is_close() -> None:
    names = KnownNames(["apple", "leopard", "maple tree", "oak tree", "bee", "otter", "possum"])
    for slipped, meant in (("aplle", "apple"), ("leopart", "leopard"), ("mapel-tree", "maple tree"), ("oter", "otter")):
        assert names.misspelt(slipped) == meant
    assert names.misspelt("bea") is None  # too short to tell
    assert names.misspelt("zebra") is None
    assert names.misspelt("leobatd") is None  # two slips in a short word
    assert KnownNames(["chimpanzee", "bicycle"]).misspelt("chimpansees") == "chimpanzee"
    assert KnownNames(["bicycle"]).misspelt("tricycle") is None
    assert KnownNames(["shark", "sharp"]).misspelt("sharl") is None  # two are as close
    assert KnownNames().misspelt("aplle") is None
