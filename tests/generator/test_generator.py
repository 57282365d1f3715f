"""Calling a `Generator`: prompts, settings, samples and devices."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.generator.comparison import assert_differ, assert_same, state_of
from tina_framework import prompt
from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import ConfigError, PromptError, PromptWarning
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.encoder import Encoder
from tina_framework.prompts.encoded_task import encode_task, encode_tasks

NAMES = ["dog", "ant", "fox", "bee"]


def test_one_task_gives_a_classifier(tiny_generator: Generator) -> None:
    model = tiny_generator(NAMES, seed=3)
    assert isinstance(model, GeneratedClassifier)
    assert model.class_names == tuple(NAMES)
    assert model.num_parameters == 432 + 4608 + 33 * 4
    assert len(model.predict(np.zeros((2, 32, 32, 3), dtype=np.uint8))) == 2
    assert not model.training
    assert model.provenance["seed"] == 3
    assert model.provenance["num_inference_steps"] == 4
    assert model.provenance["encoder"] == "toy"
    assert model.provenance["scheduler"] == "ddim"


def test_a_name_the_encoder_is_unsure_of_is_warned_about(tiny_generator: Generator) -> None:
    with pytest.warns(PromptWarning, match="toy is unsure what 'mystery thing' means"):
        tiny_generator(["ant", "mystery thing"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        tiny_generator(NAMES)
        tiny_generator(encode_task(["ant", "mystery thing"], tiny_generator.encoder))  # no warning for encoded prompts


def test_a_name_of_the_training_data_needs_no_warning(tiny_generator: Generator) -> None:
    names = ("ant", "mystery thing")
    config = dataclasses.replace(tiny_generator.config, class_names=names)
    tasks = [encode_task(names, tiny_generator.encoder)]
    for encoders, default, number in ((["another"], "another", 1), (["toy"], "another", 0), (["another"], "toy", 0)):
        generator = copy.copy(tiny_generator)
        generator.config = dataclasses.replace(config, training={"encoders": encoders}, default_encoder=default)
        assert len(generator.prompt_warnings(tasks)) == number


def test_networks_depend_on_their_classes(tiny_generator: Generator) -> None:
    assert_differ(tiny_generator(["ant", "bee"]), tiny_generator(["cat", "dog"]))
    rows = state_of(tiny_generator(NAMES))["fc.weight"]
    assert torch.pdist(rows).min() > 1e-3


def test_samples_differ_and_do_not_depend_on_their_number(tiny_generator: Generator) -> None:
    three = tiny_generator(NAMES, num_samples=3)
    two = tiny_generator([["ant", "bee"], NAMES], num_samples=2)
    assert [len(models) for models in two] == [2, 2]
    assert [model.provenance["sample"] for model in three] == [0, 1, 2]
    assert_same(three[0], tiny_generator(NAMES))
    assert_same(three[1], two[1][1])
    assert_differ(three[0], three[1])


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([], "No class was named"),
        (["ant"], "Only one class"),
        ([["ant", "bee"], ["ant"]], "Only one class"),
        ([["ant", "bee"], []], "No class was named"),
        (["ant", "Ant"], "the same class"),
        (["ant", ""], "empty"),
        ("ant bee", "no sentence about classes"),
        ([["ant", "bee"], "cat"], "is not a class name"),
        ([f"class {k}" for k in range(11)], "11 classes were named.* for at most 10; leave some out"),
    ],
)
def test_impossible_tasks_are_refused(tiny_generator: Generator, prompts: Any, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        tiny_generator(prompts)


def test_a_sentence_is_a_task(tiny_generator: Generator) -> None:
    model = tiny_generator("tell dogs from ants, foxes and bees")
    assert model.class_names == tuple(NAMES)
    assert_same(model, tiny_generator(NAMES))
    with pytest.raises(PromptError, match=r"such as red dog \| cat; give separate names"):
        tiny_generator("red dogs and cats")


def test_pictures_and_descriptions_are_independent_of_order_and_batch(
    tiny_generator: Generator, seeing: Encoder
) -> None:
    pictures = [Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for k in range(4)]
    task = [
        prompt.images(pictures[:2], label="bus"),
        "ant",
        prompt.text("a large grey animal", label="elephant"),
        prompt.images(pictures[2], label="dog") + prompt.text("dog"),
        prompt.vector(np.arange(24.0), label="x"),
    ]
    model = tiny_generator(task, encoder=seeing)
    assert model.class_names == ("bus", "ant", "elephant", "dog", "x")
    assert [said["label"] for said in model.provenance["prompts"]] == list(model.class_names)
    assert_same(model, tiny_generator(task[::-1], encoder=seeing))
    assert_same(model, tiny_generator([NAMES, task], encoder=seeing)[1])
    assert_differ(model, tiny_generator([prompt.images(pictures[3], label="bus"), *task[1:]], encoder=seeing))


def test_conditions_go_in_directly(tiny_generator: Generator) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    assert_same(tiny_generator(condition), tiny_generator(NAMES))
    assert_same(tiny_generator([condition])[0], tiny_generator(NAMES))
    [flat] = tiny_generator.generate_parameters([condition])
    expected = tiny_generator.spec.flatten(state_of(tiny_generator(NAMES)), 4)
    assert torch.equal(flat, expected)
    assert not flat.is_inference()
    assert not flat.requires_grad


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 1001}, "only 1000 timesteps"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_inference_steps": 2.5}, "must be a whole number"),
    ],
)
def test_impossible_settings_are_refused(tiny_generator: Generator, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tiny_generator(NAMES, **settings)


def test_generated_networks_can_be_trained_further(tiny_generator: Generator) -> None:
    model = tiny_generator(NAMES)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_models(tiny_generator: Generator) -> None:
    moved = copy.copy(tiny_generator)
    moved.denoiser = copy.deepcopy(tiny_generator.denoiser)
    moved.to("cuda")
    for scheduler in ("ddim", "ddpm"):
        model = moved([NAMES, NAMES[:2]], scheduler=scheduler)[0]
        assert model.device.type == "cuda"
        assert len(model.predict(np.zeros((2, 32, 32, 3), dtype=np.uint8))) == 2
        here = tiny_generator(NAMES, scheduler=scheduler)
        for name, tensor in state_of(model).items():
            torch.testing.assert_close(tensor.cpu(), state_of(here)[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("prompts", [None, 5, b"ant or bee", prompt.text("ant"), Image.new("RGB", (2, 2))])
def test_what_is_no_list_of_classes_is_refused(tiny_generator: Generator, prompts: Any) -> None:
    with pytest.raises(PromptError, match="give a list of at least two classes"):
        tiny_generator(prompts)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"seed": "x"}, "seed is 'x'"),
        ({"seed": None}, "seed is None"),
        ({"template": "a"}, "number 'a'"),
        ({"encoder": 5}, "encoder is 5"),
    ],
)
def test_settings_of_the_wrong_kind(tiny_generator: Generator, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        tiny_generator(NAMES, **settings)


def test_old_encoders_are_released(tiny_generator: Generator) -> None:
    class Copy:
        name, dim, space, templates = "copy", 24, "toy-space", ("{}",)

        def encode_text(self, texts: list[str], template: int = 0) -> np.ndarray:
            return tiny_generator.encoder.encode_text(texts)

    made = weakref.WeakSet[Copy]()
    for _ in range(20):
        made.add(encoder := Copy())
        tiny_generator(NAMES, encoder=encoder)
    del encoder
    gc.collect()
    assert len(made) < 10


def test_it_says_what_it_is(tiny_generator: Generator) -> None:
    first, second = repr(tiny_generator).splitlines()
    assert first == "Generator(unsaved: writes cnn-2layer for 2 to 10 classes (5,370 parameters at 10);"
    size = sum(parameter.numel() for parameter in tiny_generator.denoiser.parameters())
    assert (
        second == f"  knows 12 classes, encoder toy, 4 steps of ddim, denoiser of {size:,} parameters (float32 on cpu))"
    )


def test_classifiers_record_licence_data_and_accuracy() -> None:
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    known = generator(generator.config.class_names[:10]).provenance
    assert (known["license"], known["datasets"]) == ("apache-2.0", ["cifar100"])
    assert known["mean_accuracy"] == {"unseen-combination": 0.7285}
    for names, options in (
        (["apple", "zeppelin", "submarine"], {}),
        (["apple", "bear", "bus"], {"num_inference_steps": 1}),
    ):
        assert "mean_accuracy" not in generator(names, **options).provenance
    two = generator(["apple", "bear", "bus"])
    assert two.provenance["mean_accuracy"] == {"unseen-combination": 0.9026}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert "mean_accuracy" not in two.fine_tune(pixels, [0, 1, 2]).provenance


@pytest.mark.slow
def test_no_name_of_the_training_data_has_a_warning() -> None:
    """In any of the spellings that users write: with spaces or underscores, in upper case, with an article, as a plural."""
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    names = generator.config.class_names
    assert len(names) == 100
    known = generator.known_classes()
    spellings = (str, str.upper, str.title, lambda word: word.replace(" ", "_"), lambda word: f"the {word}")
    for spelling in spellings:
        # All in one task at the end: no two of them may count as equal.
        for start, size in (*((start, 10) for start in range(0, len(names), 10)), (0, len(names))):
            words = [spelling(word) for word in names[start : start + size]]
            tasks = encode_tasks([words], generator.encoder, known_classes=known)
            assert generator.prompt_warnings(tasks) == [], words


def test_copies_give_the_same_networks() -> None:
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    expected = generator(["apple", "bear"])
    for copied in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert not copied._known_classes, "an entry of another encoder could be taken for one of its own"
        assert copied.encoder is not generator.encoder
        assert_same(copied(["apple", "bear"]), expected)


def test_thresholds_and_the_generic_model_are_those_of_one_architecture(several_generator: Generator) -> None:
    generic = several_generator.spec.unflatten(torch.zeros(several_generator.spec.num_parameters(3)), 3)
    thresholds = AbstentionThresholds(0.9, {2: 1.0, 3: 1.5}, "toy")
    config = dataclasses.replace(several_generator.config, abstention=thresholds)
    targets = {name: several_generator.known_target(name) for name in config.architectures}
    generator = Generator(
        config,
        several_generator.denoiser,
        several_generator.normalizer,
        several_generator.condition_space,
        generic=generic,
        targets=targets,  # type: ignore[arg-type]
    )
    other = generator.for_architecture("cnn-3layer")
    assert (other.config.abstention, other.generic) == (None, None)
    assert other.for_architecture("cnn-2layer@0.5").generic is generator.generic is not None
    assert other.for_architecture("cnn-2layer").config.abstention is None
    assert other.for_architecture("cnn-2layer@0.5").config.abstention == thresholds


def test_the_fixed_forecast_is_added_where_there_is_one(
    several_generator: Generator, tiny_generator: Generator
) -> None:
    layout = several_generator.layout(3)
    zeros = torch.zeros(1, layout.num_tokens, layout.token_width)
    conditions = torch.randn(1, 3, several_generator.denoiser.config.condition_dim)
    added = several_generator.with_rows(zeros, conditions, layout)
    assert not added[:, :-3].any()
    assert added[:, -3:].any(dim=-1).all()
    assert tiny_generator.with_rows(zeros, conditions, layout) is zeros
