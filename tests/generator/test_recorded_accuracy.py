"""The recorded accuracy is told of familiar classes alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ToyEncoder
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.generator import Generator
from tina_framework.generator.recorded_accuracy import recorded_accuracy
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import encode_task


@pytest.fixture
def config(tiny_generator: Generator) -> GeneratorConfig:
    return dataclasses.replace(
        tiny_generator.config, metrics={"toy": {"seen": {"2": 0.5, "3": 0.25}, "unseen-classes": {"2": 0.4}}}
    )


def test_known_names_have_the_accuracy_of_their_count(tiny_generator: Generator, config: GeneratorConfig) -> None:
    known = tiny_generator.known_classes()
    for names, expected in ((["ant", "bee"], {"seen": 0.5}), (["ants", "honeybee", "hen"], {"seen": 0.25})):
        assert recorded_accuracy(config, "toy", encode_task(names, ToyEncoder(), known_classes=known)) == expected
    four = encode_task(["ant", "bee", "dog", "fox"], ToyEncoder(), known_classes=known)
    assert recorded_accuracy(config, "toy", four) == {}


def test_an_unfamiliar_class_has_none(tiny_generator: Generator, config: GeneratorConfig) -> None:
    known = tiny_generator.known_classes()
    assert recorded_accuracy(config, "toy", encode_task(["ant", "zeppelin"], ToyEncoder(), known_classes=known)) == {}
    # Nobody compared these classes with the known ones.
    assert recorded_accuracy(config, "toy", encode_task(["ant", "bee"], ToyEncoder())) == {}


def test_prompts_of_pictures_have_none(config: GeneratorConfig, tiny_generator: Generator) -> None:
    task = encode_task(["ant", "bee"], ToyEncoder(), known_classes=tiny_generator.known_classes())
    shown = ClassPrompt("ant", ("ant",), images=(Image.new("RGB", (8, 8)),))
    given = ClassPrompt("ant", vectors=(np.ones(24, dtype=np.float32),))
    for prompt in (shown, given):
        changed = dataclasses.replace(task, prompts=(prompt, ClassPrompt("bee", ("bee",))))
        assert recorded_accuracy(config, "toy", changed) == {}
