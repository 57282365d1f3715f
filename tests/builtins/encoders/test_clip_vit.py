"""Test the encoder with a tiny random CLIP, and with the real tokenizer if its files are available."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.builtins.encoders import clip_vit
from tina_framework.builtins.encoders.clip_vit import CLIPEncoder
from tina_framework.errors import CheckpointError, ConfigError, DownloadError, PromptError
from tina_framework.interfaces.encoder import Encoder, ImageEncoder

MERGES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "clip_bpe_simple_vocab_16e6.txt.gz"
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """The printable characters by which GPT-2 represents the 256 bytes, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def write_tokenizer(folder: Path, merges: list[str]) -> int:
    """Write CLIP's tokenizer files and return the size of the vocabulary."""
    letters = byte_letters()
    tokens = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges]
    tokens += [START, END]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 77}))
    return len(tokens)


def write_clip(folder: Path, merges: list[str]) -> Path:
    """A CLIP with both towers, randomly initialised, 24 wide, as transformers saves it."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    folder.mkdir(exist_ok=True)
    size = write_tokenizer(folder, merges)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**small, "vocab_size": size, "bos_token_id": size - 2, "eos_token_id": size - 1},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=24,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    square = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny", ["a p", "ap p"])


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> CLIPEncoder:
    return CLIPEncoder(tiny, device="cpu")


def test_attributes_need_no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*args: Any, **kwargs: Any) -> str:
        raise AssertionError("asked the Hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    encoder = CLIPEncoder()
    assert (encoder.name, encoder.dim, encoder.space) == ("clip-vit-b-32", 512, "openai/clip-vit-base-patch32")
    assert encoder.templates == ("a {}", "This is a photo of a {}")


def test_text_vectors(encoder: CLIPEncoder, tiny: Path) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dim, encoder.space) == (f"clip-vit-b-32:{tiny}", 24, "local/tiny")
    vectors = encoder.encode_text(["apple", "pickup truck"])
    assert vectors.shape == (2, 24)
    assert vectors.dtype == np.float32
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4
    assert encoder.encode_text([]).shape == (0, 24)


def test_a_row_does_not_depend_on_the_other_texts(encoder: CLIPEncoder) -> None:
    texts = ["apple", "a rather long description of a class, with many words in it", "bus", "été", "bus"]
    together = encoder.encode_text(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.encode_text([text])[0], row)
    np.testing.assert_array_equal(encoder.encode_text(texts[::-1]), together[::-1])


def test_the_template_is_applied(encoder: CLIPEncoder, tiny: Path) -> None:
    bare = CLIPEncoder(tiny, device="cpu", templates=["{}"])
    np.testing.assert_array_equal(
        encoder.encode_text(["bus"], template=1), bare.encode_text(["This is a photo of a bus"])
    )
    # Braces in a name are no placeholders.
    np.testing.assert_array_equal(encoder.encode_text(["{0} {x}"]), bare.encode_text(["a {0} {x}"]))


def test_matches_transformers_own_padded_batch(encoder: CLIPEncoder, tiny: Path) -> None:
    import torch
    from transformers import AutoTokenizer, CLIPModel

    texts = ["apple", "a much longer name than that"]
    tokens = AutoTokenizer.from_pretrained(tiny)([f"a {text}" for text in texts], padding=True, return_tensors="pt")
    with torch.inference_mode():
        features = CLIPModel.from_pretrained(tiny).eval().get_text_features(**tokens)
    expected = getattr(features, "pooler_output", features).numpy()
    np.testing.assert_allclose(encoder.encode_text(texts), expected, atol=1e-5)


def test_overlong_texts_are_cut(encoder: CLIPEncoder) -> None:
    assert np.isfinite(encoder.encode_text(["word " * 500])).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "I;16"])
def test_pictures_of_any_size_and_mode(encoder: CLIPEncoder, mode: str) -> None:
    assert isinstance(encoder, ImageEncoder)
    pictures = [Image.new(mode, size) for size in ((32, 32), (100, 7), (5, 60))]
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (3, 24)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(encoder.encode_images(pictures[1:2])[0], vectors[1], atol=1e-5)
    assert encoder.encode_images([]).shape == (0, 24)


def test_a_copy_of_the_original_keeps_its_space(tmp_path: Path) -> None:
    config: dict[str, Any] = {"model_type": "clip", "projection_dim": 512, "text_config": {}, "vision_config": {}}
    for folder, changed, space in (
        ("copy", {}, "openai/clip-vit-base-patch32"),
        ("laion", {"vision_config": {"hidden_act": "gelu"}}, "local/laion"),
        ("large", {"projection_dim": 768}, "local/large"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(config | changed))
        assert CLIPEncoder(tmp_path / folder).space == space
    assert CLIPEncoder(tmp_path / "laion", space="mine").space == "mine"


class TestRefusals:
    def test_empty_name_and_unknown_template(self, encoder: CLIPEncoder) -> None:
        with pytest.raises(PromptError, match="empty"):
            encoder.encode_text(["apple", " "])
        with pytest.raises(PromptError, match="no template number 2"):
            encoder.encode_text(["apple"], template=2)

    def test_a_template_without_braces(self) -> None:
        with pytest.raises(ConfigError, match="has no place for the name"):
            CLIPEncoder(templates=["a photo"])

    def test_neither_folder_nor_id(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="neither a folder nor an id"):
            CLIPEncoder(tmp_path / "nothing")

    def test_a_repository_without_a_revision(self) -> None:
        with pytest.raises(ConfigError, match="give revision="):
            CLIPEncoder("somebody/clip")

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "bert"}')
        with pytest.raises(CheckpointError, match="does not describe a CLIP model"):
            CLIPEncoder(tmp_path).encode_text(["apple"])

    def test_pickled_weights(self, tiny: Path, tmp_path: Path) -> None:
        for file in tiny.iterdir():
            if file.suffix != ".safetensors":
                (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "pytorch_model.bin").write_bytes(b"not to be opened")
        with pytest.raises(
            CheckpointError, match=r"has no model\.safetensors; weights in other formats are not loaded"
        ):
            CLIPEncoder(tmp_path).encode_text(["apple"])

    def test_truncated_weights(self, tiny: Path, tmp_path: Path) -> None:
        for file in tiny.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            CLIPEncoder(tmp_path).encode_text(["apple"])


class TestHub:
    """A function replaces the Hub and either has or lacks the files."""

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> list[dict[str, Any]]:
        import huggingface_hub

        made: list[dict[str, Any]] = []

        def snapshot(model: str, **options: Any) -> str:
            made.append({"model": model, **options})
            if options["local_files_only"]:
                raise FileNotFoundError("not in the cache")
            if model == "away/clip":
                raise ConnectionError("no route to host.")
            return str(tiny)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        return made

    def test_announces_the_download_before_it_starts(
        self, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        encoder = CLIPEncoder(device="cpu")
        encoder._fetched  # noqa: B018 - a property that downloads
        said = capsys.readouterr()
        assert said.out == ""
        assert "605 MB" in said.err
        assert [call["local_files_only"] for call in calls] == [True, False]
        assert {call["revision"] for call in calls} == {clip_vit._REVISION}
        assert len(clip_vit._REVISION) == 40
        assert not any("bin" in pattern for pattern in calls[1]["allow_patterns"])

    def test_a_complete_cache_is_used_silently(
        self, monkeypatch: pytest.MonkeyPatch, tiny: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import huggingface_hub

        def snapshot(model: str, **options: Any) -> str:
            assert options["local_files_only"]
            return str(tiny)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        encoder = CLIPEncoder("somebody/clip", revision="0" * 40, device="cpu")
        assert encoder.dim == 24
        assert encoder.encode_text(["apple"]).shape == (1, 24)
        assert capsys.readouterr().err.count("Downloading") == 0

    def test_unreachable(self, calls: list[dict[str, Any]]) -> None:
        encoder = CLIPEncoder("away/clip", revision="0" * 40)
        with pytest.raises(DownloadError, match=r"no route to host\); use an encoder that works offline: clip-lite"):
            encoder.encode_text(["apple"])

    def test_local_files_only_forbids_a_download(self, calls: list[dict[str, Any]]) -> None:
        encoder = CLIPEncoder(local_files_only=True)
        with pytest.raises(DownloadError, match="local_files_only forbids a download; use an encoder"):
            encoder.encode_text(["apple"])
        assert [call["local_files_only"] for call in calls] == [True]


def test_the_real_tokenizer(tmp_path: Path) -> None:
    if not MERGES.is_file():
        pytest.skip("needs CLIP's merges: ../shared/data/clip_bpe_simple_vocab_16e6.txt.gz")
    with gzip.open(MERGES, "rt", encoding="utf-8") as handle:
        merges = handle.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    encoder = CLIPEncoder(write_clip(tmp_path / "real", merges), device="cpu")
    network, tokenizer, _ = encoder._parts
    assert network.config.text_config.vocab_size == 49408
    assert tokenizer("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("A  Photo of a CAT")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert encoder.encode_text(["apple", "chimpanzee"]).shape == (2, 24)
    slips = ["aplpe", "leopart", "chimpanze"]
    assert encoder.unknown_words(["apple", "a Leopard", "maple tree, aplpe", *slips]) == slips
