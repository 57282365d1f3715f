"""Which known names words are read as, in the company of the other classes."""

from __future__ import annotations

from collections.abc import Sequence

from tests.conftest import ToyEncoder
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.names import KnownNames
from tina_framework.prompts.reading import read_names

KNOWN = KnownNames(["beaver", "bear", "couch", "leopard"])


class Spelling(ToyEncoder):
    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        return [text for text in texts if text not in ("beaver", "bear", "couch", "sofa", "leopards", "bears")]


def read(*texts: str) -> dict[str, str]:
    return read_names([ClassPrompt(text, (text,)) for text in texts], KNOWN, Spelling())


def test_synonyms_plurals_and_slips() -> None:
    assert read("sofa", "leopards", "beaveer", "bear") == {"sofa": "couch", "leopards": "leopard", "beaveer": "beaver"}


def test_a_slip_is_not_taken_for_a_class_that_is_there() -> None:
    assert read("leopart", "bear") == {"leopart": "leopard"}
    assert read("leopart", "leopard") == {}
    assert read("leopart", "leopards") == {"leopards": "leopard"}


def test_two_slips_are_not_the_same_class() -> None:
    assert read("leopart", "leoparrd") == {}


def test_an_encoder_that_knows_no_words_corrects_none() -> None:
    assert read_names([ClassPrompt("leopart", ("leopart",))], KNOWN, ToyEncoder()) == {}
