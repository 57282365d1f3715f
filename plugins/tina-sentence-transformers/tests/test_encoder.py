"""Test the encoder with the plugin test kit, and its own behaviour."""

from __future__ import annotations

import builtins
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, PromptError
from tina_framework.testing import EncoderTests
from tina_sentence_transformers.encoder import SentenceTransformersEncoder
from tina_sentence_transformers.fitting import Request, fit_projection
from tina_sentence_transformers.model import SentenceModel
from tina_sentence_transformers.rows import read_rows


class TestKernel(EncoderTests):
    images = False
    confidence = True

    @pytest.fixture
    def encoder(self, kernel: SentenceTransformersEncoder) -> SentenceTransformersEncoder:
        return kernel


class TestLinear(EncoderTests):
    images = False
    confidence = True

    @pytest.fixture
    def encoder(self, linear: SentenceTransformersEncoder) -> SentenceTransformersEncoder:
        return linear


# Of the module, not of a test: the model is loaded once.
@pytest.fixture(scope="module")
def kernel(projection_folder: Path) -> SentenceTransformersEncoder:
    return SentenceTransformersEncoder(projection_folder)


@pytest.fixture(scope="module")
def linear(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, rows_file: Path
) -> SentenceTransformersEncoder:
    folder = tmp_path_factory.mktemp("linear") / "out"
    fit_projection(Request(str(model_folder), None, rows_file, folder, held_out_share=0.2, landmarks=0))
    return SentenceTransformersEncoder(folder)


def test_attributes(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    assert encoder.name == f"sentence-transformers:{projection_folder}"
    assert (encoder.dim, encoder.space, encoder.templates) == (8, "made/up", ("{}", "a {}"))


def test_each_template_has_its_projection(projection_folder: Path, rows_file: Path) -> None:
    encoder, rows = SentenceTransformersEncoder(projection_folder), read_rows(rows_file)
    for template in (0, 1):
        found = encoder.encode_text(rows.names, template=template)
        right = [
            np.linalg.norm(found / np.linalg.norm(found, axis=1, keepdims=True) - rows.vectors_TME[t]) for t in (0, 1)
        ]
        assert int(np.argmin(right)) == template


def test_another_model_is_refused(
    altered: Callable[..., Path], tmp_path: Path, projection_folder: Path, model_folder: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    weights = load_file(other / "model.safetensors")
    key = next(iter(weights))
    save_file(weights | {key: weights[key] + 0.01}, other / "model.safetensors", metadata={"format": "pt"})
    folder = altered(projection_folder, tmp_path / "out", model=str(other))
    with pytest.raises(CheckpointError, match="not the one"):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])
    folder = altered(projection_folder, tmp_path / "gone", model=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="is no folder"):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])


def test_a_model_in_the_folder_of_the_projection_is_found(
    altered: Callable[..., Path], tmp_path: Path, projection_folder: Path, model_folder: Path
) -> None:
    folder = altered(projection_folder, tmp_path / "out", model="sentence-model")
    shutil.copytree(model_folder, folder / "sentence-model")
    np.testing.assert_array_equal(
        SentenceTransformersEncoder(folder).encode_text(["red cat"]),
        SentenceTransformersEncoder(projection_folder).encode_text(["red cat"]),
    )


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, projection_folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(DependencyError, match="pip install sentence-transformers"):
        SentenceTransformersEncoder(projection_folder).encode_text(["red cat"])


def test_empty_names_and_unknown_templates_are_refused(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    with pytest.raises(PromptError, match="no template number 2"):
        encoder.encode_text(["red cat"], template=2)
    with pytest.raises(PromptError, match="empty"):
        encoder.encode_text(["red cat", " "])


def test_describing_an_encoder_loads_no_model(monkeypatch: pytest.MonkeyPatch, projection_folder: Path) -> None:
    """Listing and checking generators must not need the library."""
    real = builtins.__import__

    def guarded(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith("sentence_transformers")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert SentenceTransformersEncoder(projection_folder).dim == 8


def test_a_text_is_embedded_once_for_all_methods(monkeypatch: pytest.MonkeyPatch, projection_folder: Path) -> None:
    read: list[str] = []
    embed = SentenceModel.embed

    def counting(self: SentenceModel, texts: Sequence[str], batch: int = 1) -> Any:
        read.extend(texts)
        return embed(self, texts, batch)

    monkeypatch.setattr(SentenceModel, "embed", counting)
    encoder = SentenceTransformersEncoder(projection_folder)
    encoder.encode_text(["red cat", "old bus", "red cat"])
    encoder.text_confidence(["red cat", "old bus"])
    encoder.comparison_vectors(["old bus"])
    assert read == ["red cat", "old bus"]


def test_comparison_vectors_are_the_sentence_vectors(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    rows = encoder.comparison_vectors(["red cat", "old bus"])
    prompts = [encoder.templates[0].replace("{}", text) for text in ("red cat", "old bus")]
    np.testing.assert_allclose(rows, np.concatenate([encoder._model.embed([p]) for p in prompts]), atol=1e-6)
    assert encoder.comparison_vectors([]).shape == (0, rows.shape[1])
