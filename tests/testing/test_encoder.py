"""The standard tests of encoders hold for the built-in ones; a tiny CLIP replaces the one that is a download."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.builtins.encoders.clip_lite import CLIPLite
from tina_framework.builtins.encoders.clip_vit import CLIPEncoder
from tina_framework.builtins.encoders.embedding_table import EmbeddingTable
from tina_framework.testing import EncoderTests

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def clip_lite() -> CLIPLite:
    return CLIPLite()


class TestCLIPLite(EncoderTests):
    images = True
    confidence = True

    @pytest.fixture
    def encoder(self, clip_lite: CLIPLite) -> CLIPLite:
        return clip_lite


class TestEmbeddingTable(EncoderTests):
    texts = ("apple", "Pickup truck", "t-shirt", "sweet_pepper")
    images = False
    confidence = False

    @pytest.fixture
    def encoder(self, tmp_path: Path) -> EmbeddingTable:
        vectors = RNG(0).normal(size=(2, 4, 6)).astype(np.float16)
        templates = np.array(["a {}", "one {}"])
        np.savez(
            tmp_path / "table", names=np.array(self.texts), vectors=vectors, templates=templates, space="toy/space"
        )
        return EmbeddingTable(tmp_path / "table.npz")


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPEncoder:
    return CLIPEncoder(write_tiny_clip(tmp_path_factory.mktemp("clip")), device="cpu")


class TestCLIPEncoder(EncoderTests):
    images = True
    confidence = False

    @pytest.fixture
    def encoder(self, tiny_clip: CLIPEncoder) -> CLIPEncoder:
        return tiny_clip


def write_tiny_clip(folder: Path) -> Path:
    """A CLIP with both towers, randomly initialised, with a tokenizer that knows the 256 bytes and no merges."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]
    special = ["<|startoftext|>", "<|endoftext|>"]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *special]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    names = {"bos_token": special[0], "eos_token": special[1], "unk_token": special[1], "pad_token": special[1]}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77} | names
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes = {"vocab_size": len(tokens), "bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1}
    model = CLIPConfig(
        text_config=small | sizes, vision_config=small | {"image_size": 32, "patch_size": 16}, projection_dim=24
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(model).save_pretrained(folder, safe_serialization=True)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
