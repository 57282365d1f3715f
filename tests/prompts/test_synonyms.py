"""Test the table of synonyms."""

from __future__ import annotations

from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.known_names import has_synonyms
from tina_framework.prompts.synonyms import SYNONYM_GROUPS


def test_no_name_occurs_twice_and_every_group_has_two_names() -> None:
    names = [fold(name).replace(" ", "") for group in SYNONYM_GROUPS for name in group]
    assert len(names) == len(set(names))
    assert all(len(group) > 1 for group in SYNONYM_GROUPS)


def test_names_of_the_table_are_found_in_the_plural() -> None:
    assert has_synonyms("mobile phones")
    assert not has_synonyms("pepper shakers")
