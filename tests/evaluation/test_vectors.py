"""Encoder vectors for names of which an encoder may not know all."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conftest import ToyEncoder
from tina_framework.errors import PromptError
from tina_framework.evaluation.vectors import encode_known, unit


class Choosy(ToyEncoder):
    """Knows every name but "lion"."""

    def encode_text(self, texts: Any, template: int = 0) -> Any:
        if "lion" in texts:
            raise PromptError("no lion")
        return super().encode_text(texts, template)


def test_names_that_the_encoder_does_not_know_are_left_out() -> None:
    encoder = Choosy()
    known, vectors = encode_known(encoder, ["ant", "lion", "bee"])
    assert known == ("ant", "bee")
    np.testing.assert_array_equal(vectors, encoder.encode_text(["ant", "bee"]))
    assert encode_known(encoder, ["lion"])[1].shape == (0, encoder.dim)


def test_unit_vectors_have_length_one_and_zeros_stay_zeros() -> None:
    rows = unit(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])
