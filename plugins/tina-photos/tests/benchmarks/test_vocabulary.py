"""CLIP vectors of names from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photo_tables.vocabulary import Vocabulary

from tina_framework.errors import DataError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    names = [f"label {number}" for number in range(1000)]
    names[:2] = ["giant panda, panda", "lesser panda, panda"]
    sources = ["imagenet1k"] * 1000 + ["other"] * 3
    names += ["head phones", "Cannon", "cannon"]
    vectors = np.random.default_rng(0).standard_normal((1003, 8)).astype(np.float16)
    np.savez(tmp_path / "table.npz", source=np.array(sources), name=np.array(names), emb=vectors)
    return tmp_path / "table.npz"


def test_names_are_found_by_spelling_and_then_by_synonym(table: Path) -> None:
    vocabulary = Vocabulary(table)
    assert vocabulary.entries("cannon") == ("Cannon",)
    assert vocabulary.entries("headphone") == ("head phones",)
    assert vocabulary.entries("panda") == ("giant panda, panda", "lesser panda, panda")
    assert vocabulary.entries("stapler") == ()


def test_vectors_are_centred_and_averaged(table: Path) -> None:
    vocabulary = Vocabulary(table)
    assert vocabulary.label_vectors_ME.shape == (1000, 8)
    mean = vocabulary.label_vectors_ME[:2].mean(axis=0)
    np.testing.assert_allclose(vocabulary.vector(vocabulary.entries("panda")), mean / np.linalg.norm(mean), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vocabulary.label_vectors_ME, axis=1), 1, rtol=1e-5)
    raw = np.load(table)["emb"].astype(np.float32)
    np.testing.assert_allclose(vocabulary.centred(raw[:5] * 3), vocabulary.label_vectors_ME[:5], atol=1e-5)


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", name=np.array(["a"]))
    with pytest.raises(DataError, match="no table with the arrays"):
        Vocabulary(tmp_path / "other.npz")
    np.savez(tmp_path / "short.npz", source=np.array(["imagenet1k"]), name=np.array(["a"]), emb=np.ones((1, 2)))
    with pytest.raises(DataError, match="has 1 rows of the source"):
        Vocabulary(tmp_path / "short.npz")
