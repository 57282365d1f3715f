"""Pictures in place of names: the map from features to CLIP's space, and its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tina_framework.errors import CheckpointError
from tina_framework.testing.checks.encoder_extras import check_image_batch_invariance, check_image_vectors
from tina_photos.pictures import FILE, image_vectors, read_map
from tina_photos.weights import imagenet_head
from tina_photos.words.encoder import PhotoWords


def script() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "pretraining" / "fit_pictures.py"
    spec = importlib.util.spec_from_file_location("fit_pictures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_fitted_map_is_the_inverse_of_the_regression() -> None:
    draws = np.random.default_rng(0)
    vectors = script().unit(draws.normal(size=(300, 12)))
    rows = script().unit(vectors @ draws.normal(size=(12, 40)) + 0.02 * draws.normal(size=(300, 40)))
    found = script().unit(rows @ script().fit_map(rows, vectors, 0.01, 1e-6))
    assert (found * vectors).sum(axis=1).mean() > 0.95


def test_the_rows_of_the_frozen_network_are_told_apart() -> None:
    fitted = read_map()
    rows = imagenet_head()[0].numpy()[::10]
    rows = rows - rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = fitted(rows + fitted.features_mean)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    directions = vectors - fitted.vectors_mean
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cosines = directions @ directions.T
    assert np.abs(cosines - np.eye(len(rows))).mean() < 0.2


def test_pictures_of_any_size_get_vectors_of_their_own() -> None:
    encoder = PhotoWords()
    check_image_vectors(encoder, images=True)
    check_image_batch_invariance(encoder)
    assert image_vectors([]).shape == (0, 512)
    draws = np.random.default_rng(0)
    noise = Image.fromarray(draws.integers(0, 256, (90, 200, 3), dtype=np.uint8))
    grey = Image.new("L", (300, 20), 128)
    first, second = image_vectors([noise, grey])
    assert float(first @ second) < 0.99


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(FILE.read_bytes())
    data[-1] ^= 1
    (tmp_path / "pictures.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="was altered"):
        read_map(tmp_path / "pictures.safetensors")
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        read_map(tmp_path / "none.safetensors")
