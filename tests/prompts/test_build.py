"""Test the functions that make prompts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tina_framework import prompt
from tina_framework.errors import PromptError


def test_text() -> None:
    assert prompt.text("ant").label == "ant"
    assert prompt.text(" a small insect ", "it works", label=" ant ").label == "ant"
    assert prompt.text("a", "b").texts == ("a", "b")


@pytest.mark.parametrize("texts", [(), ("",), ("ant", " "), ("ant", None), (["ant"],)])
def test_text_refuses_empty_and_other_values(texts: tuple[Any, ...]) -> None:
    with pytest.raises(PromptError, match="give a name or a description"):
        prompt.text(*texts)


def test_images(picture_folder: Path) -> None:
    shown = prompt.images(picture_folder / "bus", label=" bus ")
    assert (shown.label, len(shown.images), shown.kinds) == ("bus", 3, ("images",))
    assert len(prompt.images([Image.new("RGB", (2, 2)), str(picture_folder / "a.png")]).images) == 2
    with pytest.raises(PromptError, match="list of pictures of a class is empty"):
        prompt.images([])


def test_prompts_of_one_class_are_added(picture_folder: Path) -> None:
    both = prompt.images(picture_folder / "a.png") + prompt.text("bus")
    assert (both.label, both.kinds) == ("bus", ("text", "images"))


def test_vector() -> None:
    made = prompt.vector([1, 2.5], label=" x ")
    assert made.label == "x"
    assert made.vectors[0].dtype == np.float32


@pytest.mark.parametrize(
    ("values", "label", "sentence"),
    [
        ([[1, 2]], "x", r"shape \(1, 2\); give one row"),
        (3.0, "x", r"shape \(\); give one row"),
        ([1, float("nan")], "x", "finite numbers"),
        ([0, 0], "x", "not all zero"),
        ("abc", "x", "got str; give one row of real numbers"),
        ([[1], [1, 2]], "x", "got list"),
        ([1, 2], " ", "got an empty label"),
    ],
)
def test_vector_refusals(values: Any, label: str, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        prompt.vector(values, label)


@pytest.mark.parametrize(
    "make",
    [
        lambda: prompt.text("a", label=3),  # type: ignore[arg-type]
        lambda: prompt.text("a", label=" "),
        lambda: prompt.images(Image.new("RGB", (2, 2)), label=None),  # type: ignore[arg-type]
        lambda: prompt.vector([1], None),  # type: ignore[arg-type]
    ],
)
def test_labels_must_be_strings(make: Any) -> None:
    with pytest.raises(PromptError, match="label"):
        make()


def test_vector_refuses_complex_numbers_and_gradients() -> None:
    for values in (torch.ones(3, requires_grad=True), np.array([1 + 1j, 2])):
        with pytest.raises(PromptError, match="give one row of real numbers"):
            prompt.vector(values, "x")
    filters = list(warnings.filters)
    assert prompt.vector(torch.ones(3), "x").vectors[0].shape == (3,)
    assert list(warnings.filters) == filters
