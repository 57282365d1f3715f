"""The kit on everything built in; encoders through small local stand-ins where the real network is a download."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.builtins.datasets.cifar100 import cifar100
from tina_framework.builtins.datasets.image_folder import image_folder
from tina_framework.builtins.datasets.shapes import shapes
from tina_framework.builtins.encoders.clip_lite import CLIPLite, clip_lite_80
from tina_framework.builtins.encoders.clip_vit import CLIPEncoder
from tina_framework.builtins.encoders.embedding_table import EmbeddingTable
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.dataset import Dataset
from tina_framework.plugin.discovery import registries
from tina_framework.testing import ArchitectureTests, DatasetTests, EncoderTests, SchedulerTests, TokenizerTests

RNG = np.random.default_rng


class TestCNN2Layer(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return registries().architectures.create("cnn-2layer")


class TestClassRow(TokenizerTests):
    @pytest.fixture
    def tokenizer(self):
        return registries().tokenizers.create("class-row", chunk_size=100)


class TestChunk(TokenizerTests):
    @pytest.fixture
    def tokenizer(self):
        return registries().tokenizers.create("chunk", chunk_size=100)


class TestDDIM(SchedulerTests):
    stochastic = False

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "ddim")


class TestDDPM(SchedulerTests):
    stochastic = True

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "ddpm")


class TestFlowMatchEuler(SchedulerTests):
    stochastic = False

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "flow-match-euler")


@pytest.fixture(scope="module")
def clip_lite() -> CLIPLite:
    return CLIPLite()


class TestCLIPLite(EncoderTests):
    images = True
    confidence = True

    @pytest.fixture
    def encoder(self, clip_lite: CLIPLite) -> CLIPLite:
        return clip_lite


@pytest.fixture(scope="module")
def lite_80() -> CLIPLite:
    return clip_lite_80()


class TestCLIPLite80(EncoderTests):
    images = True
    confidence = True

    @pytest.fixture
    def encoder(self, lite_80: CLIPLite) -> CLIPLite:
        return lite_80


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


class TestShapes(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self) -> Callable[[], Dataset]:
        return partial(shapes, 2, validation_per_class=1, test_per_class=1)


class TestArrays(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Callable[[], Dataset]:
        np.savez(
            tmp_path / "data",
            train_images=RNG(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8),
            train_labels=np.repeat(np.arange(3), 20),
            test_images=RNG(1).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
            test_labels=np.repeat(np.arange(3), 2),
            class_names=np.asarray(["apple", "oak_tree", "Bear"]),
            fine_to_coarse=np.asarray([0, 0, 1]),
        )
        return partial(arrays, tmp_path / "data.npz")


class TestImageFolder(DatasetTests):
    superclasses = False

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Callable[[], Dataset]:
        for number, (split, label) in enumerate((s, c) for s in ("train", "test") for c in ("Red_thing", "blue")):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for place, pixels in enumerate(RNG(number).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)):
                Image.fromarray(pixels).save(folder / f"{place}.png")
        return partial(image_folder, tmp_path, size=8)


class RandomCIFAR100:
    """The part of torchvision's class that is used, with pictures of noise: two a class, four for training."""

    base_folder = "cifar-100-python"

    def __init__(self, root: str, train: bool, download: bool) -> None:
        number = 4 if train else 2
        self.classes = [name.replace(" ", "_") for name in cifar100().class_names]
        self.targets = [int(label) for label in np.tile(np.arange(100), number)]
        self.data = RNG(number).integers(0, 256, (100 * number, 32, 32, 3), dtype=np.uint8)


class TestCIFAR100(DatasetTests):
    superclasses = True

    @pytest.fixture
    def dataset(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Dataset]:
        monkeypatch.setattr(torchvision.datasets, "CIFAR100", RandomCIFAR100)
        return partial(cifar100, tmp_path)


def test_every_built_in_is_here() -> None:
    from tina_framework.plugin.discovery import plugin_records

    text = Path(__file__).read_text(encoding="utf-8")
    provided = next(record for record in plugin_records() if record.name == "builtins").provides
    homes = {
        "clip-lite": "CLIPLite", "clip-lite-80": "TestCLIPLite80", "clip-vit-b-32": "CLIPEncoder", "embedding-table": "EmbeddingTable",
        "arrays": "TestArrays", "cifar100": "TestCIFAR100", "image-folder": "TestImageFolder", "shapes": "TestShapes",
    }  # fmt: skip
    missing = [n for names in provided.values() for n in names if homes.get(n, f'"{n}"') not in text]
    assert missing == []
