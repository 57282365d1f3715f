"""Test the calls of an encoder and the check of what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ToyEncoder
from tina_framework.errors import PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoding import encode_pictures, encode_texts, unit_rows


class SeeingEncoder(ToyEncoder):
    """Counts its calls. The vector of a picture repeats its red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        self.calls.append(len(images))
        return np.stack([np.full(self.dim, image.getpixel((0, 0))[0], dtype=np.float32) for image in images])


def picture(red: int) -> Image.Image:
    return Image.new("RGB", (2, 2), (red, 0, 0))


def test_rows_get_unit_length_and_zeros_stay() -> None:
    np.testing.assert_allclose(unit_rows(np.float32([[3, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_texts_are_encoded_in_their_order() -> None:
    encoder = ToyEncoder()
    rows = encode_texts(["ant", "bee"], encoder, 0)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, encoder.encode_text(["ant", "bee"]))
    assert encode_texts([], encoder, 0).shape == (0, encoder.dim)


@pytest.mark.parametrize("template", [-1, 99, "0", None])
def test_an_unknown_template_is_refused(template: Any) -> None:
    with pytest.raises(PromptError, match=f"Template number {template!r} does not exist"):
        encode_texts(["ant"], ToyEncoder(), template)


def test_pictures_of_all_prompts_are_encoded_in_one_call() -> None:
    encoder = SeeingEncoder()
    shown = ClassPrompt("a", images=(picture(1), picture(2)))
    other = ClassPrompt("b", images=(picture(3),))
    text = ClassPrompt("c", ("c",))
    rows = encode_pictures([shown, text, other, shown], encoder)
    assert encoder.calls == [3]
    np.testing.assert_array_equal(rows[id(shown)][:, 0], [1, 2])
    np.testing.assert_array_equal(rows[id(other)][:, 0], [3])
    assert rows[id(text)].shape == (0, encoder.dim)


def test_pictures_need_an_encoder_that_reads_them() -> None:
    with pytest.raises(PromptError, match=r"The class 'a' has pictures, but encoder 'toy' reads text only"):
        encode_pictures([ClassPrompt("a", images=(picture(1),))], ToyEncoder())


def test_an_array_of_another_shape_is_an_error_of_the_encoder() -> None:
    class Narrow(SeeingEncoder):
        def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
            return np.ones((len(texts), 1))

        def encode_images(self, images: Sequence[Image.Image]) -> Any:
            return np.ones((1, self.dim))

    with pytest.raises(PromptError, match=r"shape \(1, 1\) for 1 names, but \(1, \d+\) was expected"):
        encode_texts(["ant"], Narrow(), 0)
    with pytest.raises(PromptError, match=r"for 2 pictures, but \(2, \d+\) was expected.*error of the encoder"):
        encode_pictures([ClassPrompt("a", images=(picture(1), picture(2)))], Narrow())
