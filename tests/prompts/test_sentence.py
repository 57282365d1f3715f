"""Test the reading of sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import PromptError
from tina_framework.prompts.sentence import classes_of, parse_sentence

KNOWN = ("apple", "bear", "bus", "pickup truck", "lawn mower", "mouse", "person", "wolf", "leaf", "couch")


@pytest.mark.parametrize(
    ("sentence", "classes"),
    [
        ("tell apples from bears and buses", "apple bear bus"),
        ("Tell apples, bears and buses apart.", "apple bear bus"),
        ("distinguish apples from bears, buses, and mice", "apple bear bus mouse"),
        ("Please distinguish between wolves and people!", "wolf person"),
        ("separate leaves from mice", "leaf mouse"),
        ("classify pictures of apples, bears or buses", "apple bear bus"),
        ("sort images into apples and bears", "apple bear"),
        ("recognise apples and bears", "apple bear"),
        ("recognize an apple, a bear and a bus", "apple bear bus"),
        ("I want to tell the difference between an apple and a bear", "apple bear"),
        ("a classifier that tells apples from bears", "apple bear"),
        ("is it an apple or a bear?", "apple bear"),
        ("pictures of apples or pictures of bears", "apple bear"),
        ("apples or bears or buses", "apple bear bus"),
        ("Tell me if it is a bear and/or a bus", "bear bus"),
        ("Which animal is it: bear, wolf or mouse?", "bear wolf mouse"),
        ("apple vs bear", "apple bear"),
        ("apples, bears, buses", "apple bear bus"),
        ("apple | bear | bus", "apple bear bus"),
    ],
)
def test_sentences(sentence: str, classes: str) -> None:
    assert parse_sentence(sentence, KNOWN) == tuple(classes.split())
    assert parse_sentence(sentence) == tuple(classes.split())


@pytest.mark.parametrize(
    ("sentence", "classes"),
    [
        ("tell pickup trucks and lawn mowers apart", ("pickup truck", "lawn mower")),
        ("tell pick-up trucks and sofas apart", ("pick-up truck", "sofa")),
        ("a red apple or a green apple", ("red apple", "green apple")),
        ("red apples, green apples, and bears", ("red apple", "green apple", "bear")),
        ("tell a large grey animal with a trunk from a bus", ("large grey animal with a trunk", "bus")),
        (
            'tell "salt and pepper shakers" from "a large, grey animal" and cups',
            ("salt and pepper shakers", "a large, grey animal", "cup"),
        ),
        ("Mice or Men", ("Mouse", "Man")),
        ("a lens or a bus", ("lens", "bus")),
    ],
)
def test_classes_of_several_words(sentence: str, classes: tuple[str, ...]) -> None:
    assert parse_sentence(sentence, KNOWN) == classes


def test_known_names_decide_singulars_and_names_of_several_words() -> None:
    assert parse_sentence("axes or dwarves", ("ax", "dwarf")) == ("axe", "dwarf")
    assert parse_sentence("gases and pixies", ("pixie",)) == ("gas", "pixie")
    known = ("salt and pepper shaker", "man of war", "bus")
    assert parse_sentence("tell salt and pepper shakers from buses", known) == ("salt and pepper shaker", "bus")
    assert parse_sentence("salt and pepper shaker", known) is None


@pytest.mark.parametrize(
    ("sentence", "reading"),
    [
        ("salt and pepper shakers", "salt | pepper shaker"),
        ("tell salt and pepper shakers from cups", "salt | pepper shaker | cup"),
        ("red apples and bears", "red apple | bear"),
        ("a large, grey animal or a bus", "large | grey animal | bus"),
        ("tell a large, grey animal from a bus", "large | grey animal | bus"),
        ("tell an animal with a trunk and a tail from a bus", "animal with a trunk | tail | bus"),
        ("tell apples from bears from buses", "apple | bear | bus"),
    ],
)
def test_ambiguous_sentences_are_refused_with_one_reading(sentence: str, reading: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_sentence(sentence, KNOWN)
    assert f"such as {reading}; give separate names" in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("recognise apples", r"names one class \(apple\)"),
        ("tell apples from everything else", "'everything else' as a class"),
        ("apples, bears and so on", "'so on' as a class"),
        ("apples,, bears", "lacks a class between two separators"),
    ],
)
def test_other_refusals(sentence: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        parse_sentence(sentence, KNOWN)


@pytest.mark.parametrize(
    "text", ["ant", "ant bee", "a large grey animal with a trunk", "pleased android", "", ",", "tell"]
)
def test_other_texts_are_not_sentences(text: str) -> None:
    assert parse_sentence(text, KNOWN) is None
    with pytest.raises(PromptError, match="no sentence about classes; write one, such as 'tell apples"):
        classes_of(text, KNOWN)


@given(st.lists(st.sampled_from(KNOWN), min_size=2, max_size=6, unique=True), st.data())
def test_any_list_of_known_names_is_read_back(names: list[str], data: st.DataObject) -> None:
    *first, last = names
    shape = data.draw(
        st.sampled_from(["{0} and {1}", "tell {0}, and {1} apart", "classify {0} or {1}", "tell {1} from {0}"])
    )
    sentence = shape.format(", ".join(first), last)
    if sentence.startswith("tell") and "from" in sentence and len(first) > 1:
        sentence = sentence.replace(", ", " and ")
    assert set(parse_sentence(sentence, KNOWN) or ()) == set(names)


@given(st.text(alphabet="ab ,and|or from tell", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_sentence(text, KNOWN)
    except PromptError:
        return
    assert found is None or len(found) > 1
