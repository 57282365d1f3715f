"""Test the encoder in the package."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tina_framework.builtins.encoders import clip_lite as clip_lite_module
from tina_framework.builtins.encoders.clip_lite import CLIPLite
from tina_framework.builtins.encoders.embedding_table import EmbeddingTable
from tina_framework.errors import CheckpointError, PromptError
from tina_framework.interfaces.encoder import Encoder, ImageEncoder, StatesConfidence
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_safetensors, write_safetensors

ROOT = Path(__file__).resolve().parents[3]
TABLES = [ROOT.parent / "shared" / "data" / name for name in ("cifar100_clip_text.npz", "clip_b32_vocab_a.npz")]
SHIPPED = ROOT / "tina_framework" / "pretrained" / "clip-lite"
CLASSES = ["apple", "bear", "bicycle", "bus", "castle", "clock", "cloud", "forest", "mountain", "train"]


@pytest.fixture(scope="module")
def encoder() -> CLIPLite:
    return CLIPLite()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "lite")
    return tmp_path / "lite"


def pictures() -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    return [Image.fromarray(array) for array in pixels]


def test_both_towers_take_at_most_8_mb() -> None:
    files = sorted(path.name for path in SHIPPED.iterdir() if not path.name.startswith("."))
    assert files == ["config.json", "image.safetensors", "text.safetensors"]
    assert sum((SHIPPED / name).stat().st_size for name in files) <= 8_000_000


def test_a_missing_tower_is_taken_from_the_package_only_if_the_hash_matches(copy: Path) -> None:
    (copy / "text.safetensors").unlink()
    assert CLIPLite(copy).encode_text(["apple"]).shape == (1, 512)
    config = json.loads((copy / "config.json").read_text())
    config["text"]["sha256"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(config))
    renew_digest(copy / "config.json")
    with pytest.raises(CheckpointError, match=r"not the file that config\.json describes"):
        CLIPLite(copy).encode_text(["apple"])


def test_is_an_encoder_of_clips_space(encoder: CLIPLite) -> None:
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, ImageEncoder)
    assert isinstance(encoder, StatesConfidence)
    assert (encoder.name, encoder.dim, encoder.space) == ("clip-lite", 512, "openai/clip-vit-base-patch32")
    assert encoder.templates == ("a {}",)


class TestText:
    def test_each_row_depends_only_on_its_text(self, encoder: CLIPLite) -> None:
        texts = [*CLASSES, "an unheard-of flurb", "polar fox"]
        together = encoder.encode_text(texts)
        assert together.shape == (12, 512)
        assert together.dtype == np.float32
        np.testing.assert_array_equal(encoder.encode_text(texts[::-1]), together[::-1])
        np.testing.assert_array_equal(np.concatenate([encoder.encode_text([text]) for text in texts]), together)
        assert encoder.encode_text([]).shape == (0, 512)

    def test_a_name_is_read_once_and_few_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clip_lite_module, "_KEPT", 2)
        encoder, read = CLIPLite(), []
        tower = encoder.text_tower
        monkeypatch.setattr(
            encoder, "text_tower", SimpleNamespace(read=lambda text: read.append(text) or tower.read(text))
        )
        first = encoder.encode_text(["apple", "bear"])
        encoder.encode_text(["apple"])
        encoder.text_confidence(["bear"])
        encoder.encode_text(["apple", "bus"])
        assert read == ["apple", "bear", "bus"]
        first[:] = 0.0  # the rows that are handed out are copies
        np.testing.assert_array_equal(encoder.encode_text(["apple", "bear"]), CLIPLite().encode_text(["apple", "bear"]))
        assert read == ["apple", "bear", "bus", "bear"]

    def test_a_second_instance_agrees_to_the_last_bit(self, encoder: CLIPLite) -> None:
        np.testing.assert_array_equal(CLIPLite().encode_text(CLASSES), encoder.encode_text(CLASSES))

    def test_spellings_of_one_name_agree(self, encoder: CLIPLite) -> None:
        rows = encoder.encode_text(["aquarium fish", "Aquarium_Fish", "an aquarium-fish", " AQUARIUM  fish"])
        np.testing.assert_array_equal(rows, np.repeat(rows[:1], 4, axis=0))
        apple, apples = encoder.encode_text(["apple", "apples"])
        np.testing.assert_array_equal(apple, apples)

    def test_refuses_what_it_cannot_read(self, encoder: CLIPLite) -> None:
        with pytest.raises(PromptError, match="no letter or digit"):
            encoder.encode_text(["apple", "?"])
        with pytest.raises(PromptError, match="no template number 1"):
            encoder.encode_text(["apple"], template=1)


class TestConfidence:
    def test_is_high_for_known_names_and_low_for_gibberish(self, encoder: CLIPLite) -> None:
        known, related, gibberish = encoder.text_confidence(["apple", "polar fox", "xqzvkj wrtplk"])
        assert 0.98 <= known <= 1.0
        assert encoder.warn_below <= related < known
        assert 0.0 <= gibberish < encoder.warn_below

    def test_every_class_is_known(self, encoder: CLIPLite) -> None:
        assert (encoder.text_confidence(CLASSES) > 0.98).all()
        assert encoder.unknown_words(CLASSES) == []

    def test_does_not_depend_on_the_batch(self, encoder: CLIPLite) -> None:
        texts = ["flurb", "apple", "polar fox"]
        np.testing.assert_array_equal(encoder.text_confidence(texts), encoder.text_confidence(texts[::-1])[::-1])
        assert encoder.text_confidence([]).shape == (0,)

    def test_lists_unknown_words_once(self, encoder: CLIPLite) -> None:
        assert encoder.unknown_words(["red flurb", "apple", "a Flurb and a zblorg"]) == ["flurb", "zblorg"]


class TestPictures:
    def test_any_size_and_mode(self, encoder: CLIPLite) -> None:
        mixed = [
            Image.new("L", (7, 100)),
            Image.new("RGBA", (300, 200)),
            Image.new("P", (1, 1)),
            Image.new("CMYK", (32, 32)),
        ]
        vectors = encoder.encode_images(mixed)
        assert vectors.shape == (4, 512)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        assert encoder.encode_images([]).shape == (0, 512)

    def test_batch_and_order_do_not_matter(self, encoder: CLIPLite) -> None:
        images = pictures()
        together = encoder.encode_images(images)
        assert np.abs(together[0] - together[1]).max() > 1e-3
        np.testing.assert_allclose(encoder.encode_images(images[::-1]), together[::-1], atol=1e-5)
        np.testing.assert_allclose(encoder.encode_images(images[2:3])[0], together[2], atol=1e-5)

    def test_lie_where_text_vectors_lie(self, encoder: CLIPLite) -> None:
        lengths = np.linalg.norm(encoder.encode_images(pictures()) - encoder.mean, axis=1)
        texts = np.linalg.norm(encoder.encode_text(CLASSES) - encoder.mean, axis=1)
        np.testing.assert_allclose(lengths, texts.mean(), rtol=0.15)


class TestAlteredFolders:
    def test_a_copy_works(self, copy: Path, encoder: CLIPLite) -> None:
        other = CLIPLite(copy)
        assert other.name == f"clip-lite:{copy}"
        np.testing.assert_array_equal(other.encode_text(CLASSES), encoder.encode_text(CLASSES))

    @pytest.mark.parametrize("file", ["text.safetensors", "image.safetensors"])
    def test_one_changed_number(self, copy: Path, file: str) -> None:
        tensors = read_safetensors(copy / file)
        name = next(name for name, tensor in tensors.items() if tensor.dim() > 1)
        tensors[name][0] += 1
        write_safetensors(copy / file, tensors)
        with pytest.raises(CheckpointError, match=r"not the file that config\.json describes"):
            CLIPLite(copy).encode_images(pictures()) if "image" in file else CLIPLite(copy).encode_text(["apple"])

    def test_truncated(self, copy: Path) -> None:
        path = copy / "text.safetensors"
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(CheckpointError, match="truncated or altered"):
            CLIPLite(copy).encode_text(["apple"])

    def test_missing(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (copy / "text.safetensors").unlink()
        # Not even the shipped tower is there to stand in.
        monkeypatch.setattr(clip_lite_module, "_shipped", lambda: copy)
        with pytest.raises(CheckpointError, match="does not exist"):
            CLIPLite(copy).encode_text(["apple"])
        (copy / "config.json").unlink()
        with pytest.raises(CheckpointError, match=r"no config\.json"):
            CLIPLite(copy)

    def test_another_shape(self, copy: Path) -> None:
        config = json.loads((copy / "config.json").read_text())
        config["image"]["widths"] = [8, 8, 8]
        config["text"]["num_names"] += 1
        (copy / "config.json").write_text(json.dumps(config))
        renew_digest(copy / "config.json")
        with pytest.raises(CheckpointError, match="has shape"):
            CLIPLite(copy).encode_text(["apple"])
        with pytest.raises(CheckpointError, match="has shape"):
            CLIPLite(copy).encode_images(pictures())

    def test_a_setting_less(self, copy: Path) -> None:
        config = json.loads((copy / "config.json").read_text())
        del config["text"]["confidence"]["warn_below"]
        (copy / "config.json").write_text(json.dumps(config))
        renew_digest(copy / "config.json")
        with pytest.raises(CheckpointError, match=r"lacks a setting .* 'warn_below'"):
            CLIPLite(copy)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports modules of examples/clip-lite, which are no package, and forgets them again."""
    folder = ROOT / "examples" / "clip-lite"
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module
    for file in folder.glob("*.py"):
        sys.modules.pop(file.stem, None)


class TestAgainstTheTeacher:
    """Needs the teacher's vectors, which are not part of the project."""

    @pytest.fixture(autouse=True)
    def _tables(self) -> None:
        missing = [path.name for path in TABLES if not path.is_file()]
        if missing:
            pytest.skip(f"needs ../shared/data/{missing[0]}")

    def test_the_classes_come_back(self, encoder: CLIPLite) -> None:
        table = EmbeddingTable(TABLES[0])
        true = table.encode_text(table.names)
        true = true / np.linalg.norm(true, axis=1, keepdims=True) - encoder.mean
        ours = encoder.encode_text(table.names) - encoder.mean
        cosines = (true * ours).sum(axis=1) / np.linalg.norm(true, axis=1) / np.linalg.norm(ours, axis=1)
        assert cosines.min() >= 0.98

    def test_the_held_out_figures_are_those_on_record(
        self, encoder: CLIPLite, scripts: Callable[[str], ModuleType]
    ) -> None:
        vocabulary = scripts("vocabulary")
        recorded = json.loads((SHIPPED / "config.json").read_text())["text"]["figures"]
        known = vocabulary.read_vocabulary(TABLES)
        parts = vocabulary.divide(known)
        assert not known.is_class[parts == vocabulary.HELD_OUT].any()
        figures = scripts("train_text").text_figures(encoder.text_tower, known, parts)
        assert figures["held_out"]["names"] >= 300
        for group, values in recorded.items():
            for key in ("names", "cosine_mean", "nearest_is_own"):
                assert figures[group][key] == pytest.approx(values[key], abs=0.005), (group, key)

    def test_no_held_out_name_is_known(self, encoder: CLIPLite, scripts: Callable[[str], ModuleType]) -> None:
        vocabulary = scripts("vocabulary")
        known = vocabulary.read_vocabulary(TABLES)
        names = np.array(known.names)[vocabulary.divide(known) == vocabulary.HELD_OUT]
        assert not any(encoder.text_tower.read(str(name)).known for name in names)


@pytest.mark.slow
def test_training_of_the_image_tower_resumes_exactly(
    copy: Path, tmp_path: Path, scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    names, count = np.array(["apple", "bus", "wolf"]), 180
    parts = {"train": count, "test": 6}
    arrays = {f"{part}_images": draw.integers(0, 256, (size, 32, 32, 3), np.uint8) for part, size in parts.items()}
    labels = {f"{part}_labels": np.arange(size) % 3 for part, size in parts.items()}
    np.savez(tmp_path / "data.npz", class_names=names, **arrays, **labels)
    train_image = scripts("train_image")
    whole_epoch = train_image.train_epoch

    def run(folder: Path, stop_before: int | None = None) -> dict[str, object]:
        def epoch(state: object, *rest: object) -> float:
            if state.epoch == stop_before:  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            return float(whole_epoch(state, *rest))

        monkeypatch.setattr(train_image, "train_epoch", epoch)
        call = ["train_image.py", "--data", str(tmp_path / "data.npz"), "--out", str(folder), "--epochs", "2"]
        monkeypatch.setattr(sys, "argv", call)
        train_image.main()
        return json.loads((folder / "config.json").read_text())["image"]

    stopped = shutil.copytree(copy, tmp_path / "stopped")
    threads = torch.get_num_threads()
    try:
        straight = run(copy)
        with pytest.raises(KeyboardInterrupt):
            run(stopped, stop_before=1)
        resumed = run(stopped)
    finally:
        torch.set_num_threads(threads)
    assert resumed["sha256"] == straight["sha256"]
    assert not list(stopped.glob("*resume*"))
