"""Test the recognition of typing mistakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tina_framework.prompts.spelling import is_typo

WORDS = st.text(alphabet="abc", min_size=1, max_size=6)


@given(WORDS, st.data())
def test_one_typing_mistake_is_recognised_in_both_directions(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abc"))
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    for slipped in (
        word,
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        swapped,
    ):
        assert is_typo(slipped, word)
        assert is_typo(word, slipped)


def test_two_typing_mistakes_are_not_recognised() -> None:
    assert is_typo("aplpe", "apple")
    for word in ("aplel", "appples", "papel", "plate"):
        assert not is_typo(word, "apple")
