"""Names of classes: what is the same name, and what is refused."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import CheckpointError, DataError
from tina_framework.interfaces.class_names import (
    MAX_NAME_LENGTH,
    MAX_TEXT_LENGTH,
    checked_names,
    fold,
    name_fault,
    normalize_name,
)

SAME = {
    "composed letters": ("caf\u00e9", "cafe\u0301"),
    "Hangul": ("\ud55c", "\u1112\u1161\u11ab"),
    "spaces at the ends": ("ant", "\u00a0ant\u3000"),
    "several spaces": ("pine tree", "pine\u2003\n tree"),
    "zero-width space": ("ant", "an\u200bt"),
    "soft hyphen": ("elephant", "ele\u00adphant"),
    "byte order mark": ("ant", "\ufeffant"),
    "word joiner": ("ant", "a\u2060nt"),
    "direction mark": ("ant", "ant\u200e"),
}
"""What differs -> two names that look the same."""


@pytest.mark.parametrize("pair", SAME.values(), ids=list(SAME))
def test_names_that_look_the_same_are_the_same(pair: tuple[str, str]) -> None:
    assert normalize_name(pair[0]) == normalize_name(pair[1]) == pair[0]
    assert fold(pair[0]) == fold(pair[1])
    with pytest.raises(DataError, match=r"has the name .* twice \(numbers 1 and 3\)"):
        checked_names([pair[0], "bee", pair[1]], "The list")


@pytest.mark.parametrize(
    "pair",
    [
        ("\u2764", "\u2764\ufe0f"),
        ("pine-tree", "pine\u2011tree"),
        ("\u0646\u0645\u06cc\u062f", "\u0646\u0645\u06cc\u200c\u062f"),
    ],
)
def test_what_shapes_a_name_is_kept_but_tells_no_names_apart(pair: tuple[str, str]) -> None:
    assert normalize_name(pair[1]) == pair[1]
    assert fold(pair[0]) == fold(pair[1])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a\x1b[31m", r"has the control character '\x1b'"),
        ("a\x00", r"has the control character '\x00'"),
        ("a\x9b", r"has the control character '\x9b'"),
        ("\ud800x", r"has the control character '\ud800'"),
        ("a\u202egpj", r"has the direction character '\u202e'"),
        ("a\u2067b", r"has the direction character '\u2067'"),
        ("", "is empty"),
        ("\u200d\ufe0f", "is empty"),
        ("x" * 201, "has 201 characters, but at most 200 are allowed"),
    ],
)
def test_harmful_and_empty_names_are_refused(name: str, fault: str) -> None:
    assert name_fault(name) == fault
    with pytest.raises(CheckpointError, match=r"^'config.json': class_names: the name .*; rename it\.$") as refused:
        checked_names(["ant", name], "'config.json': class_names", CheckpointError)
    assert fault in str(refused.value)
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", ["ant", b"ant", 3, None, {}, [], {"ant": 1}, ["ant", 3], ["ant", ["bee"]], [10**400]])
def test_other_values_are_no_list_of_names(value: Any) -> None:
    with pytest.raises(DataError, match=r"^The list.* not a (list of names|name)\.$"):
        checked_names(value, "The list")


def test_lists_of_any_kind_give_a_tuple() -> None:
    for names in (["ant", "Bee"], ("ant", "Bee"), np.array(["ant", "Bee"])):
        assert checked_names(names, "The list") == ("ant", "Bee")


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalize_name(text)
    assert normalize_name(once) == once == unicodedata.normalize("NFC", once)
    assert fold(once) == fold(text) == fold(fold(text))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_ascii_keeps_its_characters(text: str) -> None:
    assert normalize_name(text) == " ".join(text.split())


def test_long_input_is_refused_at_once() -> None:
    start = time.process_time()
    with pytest.raises(DataError) as refused:
        checked_names(["a", "\u00a0" * 10**6 + "e\u0301" * 10**6], "The list")
    assert len(str(refused.value)) < 300
    with pytest.raises(DataError, match="has 1,000,000 names"):
        checked_names(["a"] * 10**6, "The list")
    assert time.process_time() - start < 1
    assert name_fault("x " * (MAX_TEXT_LENGTH // 2), MAX_TEXT_LENGTH) is None
    assert MAX_NAME_LENGTH < MAX_TEXT_LENGTH
