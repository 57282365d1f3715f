"""The list of methods, and how they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.evaluation.methods import METHODS, parse_methods

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "reference" / "methods.md"


def test_methods_keep_the_order_they_are_named_in() -> None:
    specs = parse_methods("selection, tina@ddpm:1000,tina@20 ,tina")
    assert [(s.name, s.argument) for s in specs] == [
        ("selection", None),
        ("tina", "ddpm:1000"),
        ("tina", "20"),
        ("tina", None),
    ]
    assert [s.label for s in specs] == ["selection", "tina@ddpm:1000", "tina@20", "tina"]


def test_labels_show_no_folders_of_this_machine() -> None:
    (spec,) = parse_methods("selection@/somewhere/private/zoo")
    assert spec.argument == "/somewhere/private/zoo"
    assert spec.label == "selection@zoo"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (" , ", ConfigError, "--methods is empty"),
        ("tina,tina", ConfigError, "both be called 'tina'"),
        ("selection@/a/zoo,selection@/b/zoo", ConfigError, "selection@zoo"),
        ("selecton", UnknownNameError, "Did you mean 'selection'"),
        ("generic@x", ConfigError, "takes no argument"),
        ("tina@", ConfigError, "ends in '@'"),
        ("tina@0", ConfigError, "is no sampler"),
        ("tina@-3", ConfigError, "is no sampler"),
        ("tina@ddpm:many", ConfigError, "is no sampler"),
        ("random-prompt@euler:5", UnknownNameError, "euler"),
    ],
)
def test_mistakes_are_named_before_anything_is_loaded(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        parse_methods(text)


def test_every_method_is_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert [name for name in METHODS if f"### `{name}`" not in text] == []
