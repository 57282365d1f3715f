"""What generated classifiers record of their prompts."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from tests.generator.comparison import state_of
from tina_framework import prompt
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.generator.classifiers import make_classifiers
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.encoder import Encoder
from tina_framework.prompts.encoded_task import encode_tasks

NAMES = ["dog", "ant", "fox", "bee"]


def test_another_word_for_a_known_class_makes_its_model(tiny_generator: Generator) -> None:
    model = tiny_generator(["dogs", "honeybee", "chicken"])
    assert model.class_names == ("dogs", "honeybee", "chicken")
    assert model.provenance["read_as"] == {"dogs": "dog", "honeybee": "bee", "chicken": "hen"}
    for name, tensor in state_of(tiny_generator(["dog", "bee", "hen"])).items():
        assert torch.equal(tensor, state_of(model)[name])
    assert "read_as" not in tiny_generator(NAMES).provenance


def test_prompts_are_remembered_without_pixels(tiny_generator: Generator, seeing: Encoder, tmp_path: Path) -> None:
    shown = prompt.images([Image.new("RGB", (8, 8), "red")] * 2, label="bus") + prompt.text("a bus")
    model = tiny_generator(["ants", shown], encoder=seeing)
    model.save_pretrained(tmp_path / "classifier")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "classifier")
    assert loaded.provenance["prompts"] == [
        {"label": "ants", "texts": ["ants"]},
        {"label": "bus", "texts": ["a bus"], "images": 2},
    ]
    assert loaded.provenance["read_as"] == {"ants": "ant"}
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "classifier" / "config.json").read_bytes()


def test_each_task_has_its_samples_side_by_side(tiny_generator: Generator) -> None:
    tasks = encode_tasks([["ant", "bee"], NAMES], tiny_generator.encoder)
    networks = tiny_generator.generate_networks(tasks, SamplingOptions(num_samples=2))
    models = make_classifiers(tiny_generator.spec, tasks, networks, tiny_generator.config, {"seed": 0}, None)
    assert [list(model.class_names) for model in models] == [["ant", "bee"]] * 2 + [NAMES] * 2
    assert [model.provenance for model in models] == [{"seed": 0, "sample": sample} for sample in (0, 1, 0, 1)]
