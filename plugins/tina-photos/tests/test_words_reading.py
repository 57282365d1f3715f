"""Names, plurals, heads of compounds and descriptions are told apart, and the lexicon finds their nouns."""

from __future__ import annotations

import numpy as np
import pytest

from tina_photos.words.features import read
from tina_photos.words.files import rounded
from tina_photos.words.lexicon import Lexicon, fold, noun_forms
from tina_photos.words.regression import Regression, unit

DIM = 4


@pytest.fixture
def lexicon() -> Lexicon:
    """Four nouns. "crane" has two senses, and "heron" is a synonym of the first one."""
    nouns = {"crane": [(0, 0.6), (1, 0.4)], "fan": [(2, 1.0)], "heron": [(0, 1.0)], "sea horse": [(3, 1.0)]}
    vectors, scales = rounded(np.eye(4, dtype=np.float32))
    return Lexicon(
        {
            "nouns": np.frombuffer("\n".join(nouns).encode(), dtype=np.uint8),
            "words": np.frombuffer(b"stripe\nlarge", dtype=np.uint8),
            "starts": np.array([0, 2, 3, 4, 5], dtype=np.int32),
            "rows": np.array([row for senses in nouns.values() for row, _ in senses], dtype=np.int32),
            "weights": np.array([weight for senses in nouns.values() for _, weight in senses], dtype=np.float16),
            "vectors": vectors,
            "scales": scales,
            "basis": np.eye(4, DIM, dtype=np.float16),
            "mean": np.zeros(DIM, dtype=np.float32),
        }
    )


@pytest.mark.parametrize(
    ("text", "folded"),
    [("A Sea-Horse", "sea horse"), ("the  éclair", "eclair"), ("african_elephant", "african elephant"), ("a", "a")],
)
def test_spellings_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_plurals_are_found() -> None:
    assert "berry" in noun_forms("berries")
    assert "wolf" in noun_forms("wolves")
    assert "box" in noun_forms("boxes")
    assert noun_forms("glass") == ["glass"]


def test_senses_are_weighted(lexicon: Lexicon) -> None:
    found = lexicon.find("crane")
    assert found is not None
    np.testing.assert_allclose(lexicon.vector(found), [0.6, 0.4, 0, 0], atol=1e-3)
    # A synonym that shares the first sense makes it 1 + 3 times as likely.
    found = lexicon.find("crane", ["heron"])
    assert found is not None
    np.testing.assert_allclose(lexicon.vector(found), [2.4 / 2.8, 0.4 / 2.8, 0, 0], atol=1e-3)


def test_the_head_of_a_compound_is_found(lexicon: Lexicon) -> None:
    found = lexicon.find("ceiling fan")
    assert found is not None
    assert (found.noun, found.whole) == ("fan", False)
    found = lexicon.find("fan with a crane")
    assert found is not None
    assert found.noun == "fan"
    assert lexicon.find("flurbl") is None


def test_words_have_endings(lexicon: Lexicon) -> None:
    assert all(map(lexicon.has, ["cranes", "striped", "larger", "stripes"]))
    assert not lexicon.has("flurbl")


def test_names_and_descriptions_are_told_apart(lexicon: Lexicon) -> None:
    assert read("sea_horses", lexicon).prompt == "a photo of a sea horse"
    assert read("The Windsor chair", lexicon).prompt == "a photo of a Windsor chair"
    name = read("crane, heron", lexicon)
    assert name.found is not None
    assert name.prompt == "a photo of a crane, heron"
    for text in ("a bird with a fan", "a big grey animal that has a trunk", "very tall thin yellow building machine"):
        reading = read(text, lexicon)
        assert reading.found is None
        assert (reading.prompt, reading.meaning) == (f"a photo of {text}", text)


def test_rounding_keeps_directions() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 2, 64)).astype(np.float32)
    coordinates, scales = rounded(vectors)
    np.testing.assert_allclose(coordinates * scales[..., None], vectors, atol=0.02)
    assert rounded(np.zeros((1, 3), dtype=np.float32))[0].tolist() == [[0, 0, 0]]


def test_the_kernel_is_one_for_a_known_name() -> None:
    rng = np.random.default_rng(0)
    landmarks = unit(rng.standard_normal((6, 2, 8)).astype(np.float32))
    regression = Regression(np.zeros((2, 8), np.float32), landmarks, np.zeros((6, 3), np.float32), gamma=3.0)
    kernel = regression.kernel(regression.centred(2 * landmarks))
    np.testing.assert_allclose(np.diag(kernel), 1.0, atol=1e-5)
    cosine = (landmarks[0, 0] @ landmarks[1, 0] + landmarks[0, 1] @ landmarks[1, 1]) / 2
    assert kernel[0, 1] == pytest.approx(np.exp(3 * (cosine - 1)), rel=1e-4)
    assert regression.is_known(kernel).all()
