from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.ui.limits import MAX_CLASSES
from tina_framework.ui.words import read_words


def labels(task: list[Any]) -> list[str]:
    return [entry.label if isinstance(entry, ClassPrompt) else entry for entry in task]


@pytest.mark.parametrize(
    "written",
    ["apple, bear, bus", "apple\nbear\nbus", " apple ,bear\r\n\n, bus,\n", "tell apples from bears and buses"],
)
def test_classes_are_separated_by_lines_and_commas_or_read_from_a_sentence(written: str) -> None:
    assert labels(read_words(written, ("apple", "bear", "bus"))) == ["apple", "bear", "bus"]


def test_a_description_may_have_commas() -> None:
    task = read_words("apple, bear\nelephant=a large, grey animal")
    assert labels(task) == ["apple", "bear", "elephant"]
    assert task[2].texts == ("a large, grey animal",)


def test_a_known_name_may_hold_an_equals_sign() -> None:
    assert labels(read_words("y=x\nline", ("y=x", "line"))) == ["y=x", "line"]


@pytest.mark.parametrize("written", ["", " \n,, "])
def test_nothing_typed_is_said(written: str) -> None:
    with pytest.raises(PromptError, match="no words yet"):
        read_words(written)


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(PromptError, match=f"{MAX_CLASSES + 1} classes were typed"):
        read_words("\n".join(f"class {n}" for n in range(MAX_CLASSES + 1)))


def test_a_description_needs_a_line_of_its_own() -> None:
    with pytest.raises(PromptError, match="a line of its own"):
        read_words("apple, bear=a brown animal")


@pytest.mark.parametrize(
    "form", ["@{0}\nbear", "apple=@{0}\nbear", "apple=red+@{0}\nbear", "bear, @{0}", "apple=a, @{0}", "=@{0}"]
)
def test_no_file_is_opened(form: str, tmp_path: Path) -> None:
    """The text comes from a browser, which may be that of another person."""
    with pytest.raises(PromptError, match="opens none"):
        read_words(form.format(tmp_path))
