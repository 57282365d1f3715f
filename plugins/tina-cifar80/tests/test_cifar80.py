"""The generator, the zoo and the encoder pass the standard tests and find each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tina_cifar80.encoder import CLIPLite80
from tina_framework import Generator, list_generators, registries
from tina_framework.builtins.encoders.clip_lite import CLIPLite
from tina_framework.evaluation.zoo_lookup import find_zoo
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.testing import EncoderTests, GeneratorTests, ZooTests

CLASSES = ["apple", "bear", "bicycle", "bus", "castle", "clock", "cloud", "forest", "mountain", "train"]


class TestGenerator(GeneratorTests):
    @pytest.fixture
    def generator(self) -> str:
        return "cifar80-cnn"


class TestZoo(ZooTests):
    @pytest.fixture
    def zoo(self) -> Path:
        return registries().zoos.target("cifar80-zoo")


@pytest.fixture(scope="module")
def encoder() -> CLIPLite80:
    return CLIPLite80()


class TestEncoder(EncoderTests):
    images = True
    confidence = True

    @pytest.fixture
    def encoder(self, encoder: CLIPLite80) -> CLIPLite80:
        return encoder


def test_they_are_found() -> None:
    assert "cifar80-cnn" in list_generators()
    assert registries().encoders.create("clip-lite-80").name == "clip-lite-80"


def test_the_encoder_shares_the_text_tower_of_the_built_in_one(encoder: CLIPLite80) -> None:
    built_in = CLIPLite()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    pictures = [Image.fromarray(array) for array in pixels]
    assert np.array_equal(encoder.encode_text(CLASSES), built_in.encode_text(CLASSES))
    seen = encoder.encode_images(pictures)
    assert seen.shape == (6, 512)
    assert not np.allclose(seen, built_in.encode_images(pictures))
    assert not list(Path(registries().zoos.target("cifar80-zoo")).parent.glob("clip-lite-80/text*"))


def test_the_generator_knows_its_encoder_and_its_zoo() -> None:
    generator = Generator.from_pretrained("cifar80-cnn", device="cpu")
    assert generator.encoder.name == "clip-lite"
    folder, reason = find_zoo(generator)
    assert (folder and folder.name, reason) == ("cifar80-zoo", "")


def test_every_class_count_has_a_threshold_of_abstention() -> None:
    config = Generator.from_pretrained("cifar80-cnn", device="cpu").config
    assert config.abstention is not None
    counts = range(config.min_classes, config.max_classes + 1)
    assert all(config.abstention.threshold(count) is not None for count in counts)


def test_no_name_of_the_training_data_has_a_warning() -> None:
    generator = Generator.from_pretrained("cifar80-cnn", device="cpu")
    names = generator.config.class_names
    tasks = [names[start : start + 10] for start in range(0, 80, 10)]
    encoded = encode_tasks(tasks, generator.encoder, known_classes=generator.known_classes())
    assert generator.prompt_warnings(encoded) == []
