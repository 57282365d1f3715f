"""Test `ClassPrompt`, and which values become one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.errors import PromptError
from tina_framework.prompts.class_prompt import ClassPrompt, as_prompt

RED = Image.new("RGB", (4, 4), "red")


def test_addition_keeps_everything_and_the_first_label() -> None:
    words, shown = ClassPrompt("bus", ("bus",)), ClassPrompt("", images=(RED,))
    both = words + shown
    assert (both.label, both.texts, both.images) == ("bus", ("bus",), (RED,))
    assert (shown + words).label == "bus"
    assert (words + ClassPrompt("car", vectors=(np.ones(2, dtype=np.float32),))).kinds == ("text", "vector")
    with pytest.raises(TypeError):
        words + "car"  # type: ignore[operator]


def test_strings_and_pictures_become_prompts() -> None:
    assert as_prompt(" ant ", 0).label == "ant"
    assert as_prompt(" ant ", 0).texts == ("ant",)
    shown = as_prompt(Image.new("L", (4, 4)), 2)
    assert (shown.label, shown.kinds, shown.images[0].mode) == ("class 3", ("images",), "RGB")
    assert as_prompt(ClassPrompt("", images=(RED,)), 0).label == "class 1"
    named = ClassPrompt("bus", images=(RED,))
    assert as_prompt(named, 0) is named


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (Path("bus.png"), r"is a path.*prompt.images\(\['bus.png'\]\)"),
        (np.zeros(3), r"array without a label; write prompt.vector"),
        (["a", "b"], r"For several pictures of one class write prompt.images"),
        (3, "3 is not a class name"),
        (None, "None is not a class name"),
    ],
)
def test_other_types_are_refused_with_a_remedy(value: Any, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        as_prompt(value, 0)


def test_the_record_has_no_pixels() -> None:
    prompt = ClassPrompt("bus", ("bus",), (RED, RED), (np.ones(2, dtype=np.float32),))
    assert prompt.to_json() == {"label": "bus", "texts": ["bus"], "images": 2, "vectors": 1}
    assert ClassPrompt("ant", ("ant",)).to_json() == {"label": "ant", "texts": ["ant"]}
