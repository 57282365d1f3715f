"""What calling a `Generator` promises: seeds, order, batches, class counts, samplers, encoders."""

from __future__ import annotations

import copy
import dataclasses
import gc
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tina_framework import prompt
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.denoiser.preconditioning import model_input
from tina_framework.errors import ConfigError, PromptError, PromptWarning, TinaError, UnknownNameError
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.generator.sampling import task_draws
from tina_framework.generator.scheduler import make_scheduler
from tina_framework.interfaces.encoder import Encoder
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_task
from tina_framework.targets.device import resolve_device

NAMES = ["dog", "ant", "fox", "bee"]


def _state(model: GeneratedClassifier) -> dict[str, Tensor]:
    return dict(model.network.state_dict())


def _same(one: GeneratedClassifier, other: GeneratedClassifier) -> None:
    """The same network, class by class."""
    assert set(one.class_names) == set(other.class_names)
    order = [other.class_names.index(name) for name in one.class_names]
    for name, tensor in _state(one).items():
        counterpart = _state(other)[name]
        torch.testing.assert_close(
            tensor, counterpart[order] if name.startswith("fc") else counterpart, atol=1e-5, rtol=1e-4
        )


def _differ(one: GeneratedClassifier, other: GeneratedClassifier) -> None:
    assert max(float((a - _state(other)[n]).abs().max()) for n, a in _state(one).items()) > 1e-3


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
        tiny_generator(encode_task(["ant", "mystery thing"], tiny_generator.encoder))  # who encodes can look


def test_many_tasks_give_a_list_in_their_order(tiny_generator: Generator) -> None:
    tasks = [NAMES, ["ant", "bee"], NAMES[::-1], ["cat", "eel"], ["ant", "bee", "cat"]]
    models = tiny_generator(tasks)
    assert [list(model.class_names) for model in models] == tasks
    for task, model in zip(tasks, models, strict=True):
        _same(model, tiny_generator(task))


def test_networks_depend_on_their_classes(tiny_generator: Generator) -> None:
    _differ(tiny_generator(["ant", "bee"]), tiny_generator(["cat", "dog"]))
    rows = _state(tiny_generator(NAMES))["fc.weight"]
    assert torch.pdist(rows).min() > 1e-3


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_the_same_seed_gives_the_same_model(tiny_generator: Generator, scheduler: str) -> None:
    first = tiny_generator(NAMES, seed=7, scheduler=scheduler)
    torch.manual_seed(12345)  # the global state must not matter
    again = tiny_generator(NAMES, seed=7, scheduler=scheduler)
    for name, tensor in _state(first).items():
        assert torch.equal(tensor, _state(again)[name])
    _differ(first, tiny_generator(NAMES, seed=8, scheduler=scheduler))


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_the_order_of_classes_does_not_matter(tiny_generator: Generator, scheduler: str) -> None:
    first = tiny_generator(NAMES, scheduler=scheduler)
    for order in ([3, 1, 0, 2], [1, 2, 3, 0]):
        _same(first, tiny_generator([NAMES[k] for k in order], scheduler=scheduler))


def test_spelling_changes_no_noise(tiny_generator: Generator) -> None:
    loud = tiny_generator([name.upper() for name in NAMES])  # the toy encoder ignores case
    assert loud.class_names == ("DOG", "ANT", "FOX", "BEE")
    for name, tensor in _state(tiny_generator(NAMES)).items():
        assert torch.equal(tensor, _state(loud)[name])


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_company_in_the_batch_does_not_matter(tiny_generator: Generator, scheduler: str, batch_size: int) -> None:
    tasks = [["ant", "bee", "cat"], NAMES, ["gnu", "hen", "jay"], NAMES[:3], ["kite", "lion", "ibis", "eel"]]
    for task, model in zip(tasks, tiny_generator(tasks, scheduler=scheduler, batch_size=batch_size), strict=True):
        _same(model, tiny_generator(task, scheduler=scheduler))


def test_samples_differ_and_do_not_depend_on_their_number(tiny_generator: Generator) -> None:
    three = tiny_generator(NAMES, num_samples=3)
    two = tiny_generator([["ant", "bee"], NAMES], num_samples=2)
    assert [len(models) for models in two] == [2, 2]
    assert [model.provenance["sample"] for model in three] == [0, 1, 2]
    _same(three[0], tiny_generator(NAMES))
    _same(three[1], two[1][1])
    _differ(three[0], three[1])


def test_draws_depend_on_everything_they_should() -> None:
    def draw(*arguments: Any) -> list[float]:
        return list(torch.randn(3, generator=task_draws(*arguments)).tolist())

    base = draw(0, 0, ["a", "b"])
    assert base == draw(0, 0, ["a", "b"])
    others = [draw(1, 0, ["a", "b"]), draw(0, 1, ["a", "b"]), draw(0, 0, ["a", "c"]), draw(-1, 0, ["a", "b"])]
    assert all(base != other for other in others)
    assert draw(0, 0, ["a b"]) != base
    assert len(draw(2**80, 0, ["a"])) == 3


def test_chunk_tokens_keep_the_promises_too(tiny_generator: Generator) -> None:
    from tina_framework.denoiser.presets import build_config
    from tina_framework.denoiser.transformer import Denoiser

    tokenizer = registries().tokenizers.create("chunk", chunk_size=100)
    sizes = build_config("tiny", condition_dim=24, layout=tokenizer.layout(tiny_generator.spec, 10, 10), max_classes=10)
    torch.manual_seed(1)
    denoiser = Denoiser(sizes)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    config = dataclasses.replace(
        tiny_generator.config, denoiser=sizes, tokenizer={"name": "chunk", "config": tokenizer.config}
    )
    generator = Generator(config, denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
    first = generator(NAMES)
    _same(first, generator(NAMES[::-1]))
    _same(first, generator([["ant", "bee", "cat", "eel"], NAMES])[1])
    _differ(first, generator(NAMES, seed=1))


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([], "No class was named"),
        (["ant"], "Only one class"),
        ([["ant", "bee"], ["ant"]], "Only one class"),
        ([["ant", "bee"], []], "No class was named"),
        (["ant", "Ant"], "the same class"),
        (["ant", ""], "empty"),
        ("ant bee", "single text"),
        ([["ant", "bee"], "cat"], "is not a class name"),
        ([f"class {k}" for k in range(11)], "11 classes were named.* for 2 to 10; leave some out"),
    ],
)
def test_impossible_tasks_are_refused(tiny_generator: Generator, prompts: Any, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        tiny_generator(prompts)


def test_every_possible_class_count_works(tiny_generator: Generator) -> None:
    from_two_to_ten = [list(tiny_generator.config.class_names[:count]) for count in range(2, 11)]
    for model in tiny_generator(from_two_to_ten):
        assert _state(model)["fc.weight"].shape == (len(model.class_names), 32)


def test_a_generator_may_ask_for_more_classes_than_two(tiny_generator: Generator) -> None:
    config = dataclasses.replace(tiny_generator.config, min_classes=4)
    picky = Generator(config, tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
    assert picky(NAMES).class_names == tuple(NAMES)
    with pytest.raises(PromptError, match=r"3 classes were named.* for 4 to 10; add some"):
        picky(NAMES[:3])


def test_a_sentence_is_a_task(tiny_generator: Generator) -> None:
    model = tiny_generator("tell dogs from ants, foxes and bees")
    assert model.class_names == tuple(NAMES)
    _same(model, tiny_generator(NAMES))
    with pytest.raises(PromptError, match=r"it reads as red dog \| cat; write them as separate names"):
        tiny_generator("red dogs and cats")


def test_another_word_for_a_known_class_makes_its_model(tiny_generator: Generator) -> None:
    model = tiny_generator(["dogs", "honeybee", "chicken"])
    assert model.class_names == ("dogs", "honeybee", "chicken")
    assert model.provenance["read_as"] == {"dogs": "dog", "honeybee": "bee", "chicken": "hen"}
    for name, tensor in _state(tiny_generator(["dog", "bee", "hen"])).items():
        assert torch.equal(tensor, _state(model)[name])
    assert "read_as" not in tiny_generator(NAMES).provenance


def test_pictures_and_descriptions_keep_the_promises(tiny_generator: Generator, seeing: Encoder) -> None:
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
    _same(model, tiny_generator(task[::-1], encoder=seeing))
    _same(model, tiny_generator([NAMES, task], encoder=seeing)[1])
    _differ(model, tiny_generator([prompt.images(pictures[3], label="bus"), *task[1:]], encoder=seeing))


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


def test_conditions_go_in_directly(tiny_generator: Generator) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    _same(tiny_generator(condition), tiny_generator(NAMES))
    _same(tiny_generator([condition])[0], tiny_generator(NAMES))
    [flat] = tiny_generator.generate_parameters([condition])
    expected = tiny_generator.spec.flatten(_state(tiny_generator(NAMES)), 4)
    assert torch.equal(flat, expected)
    assert not flat.is_inference()
    assert not flat.requires_grad


def test_text_is_read_and_classes_are_encoded_once_per_prompt(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[int] = []
    prompts: list[int] = []
    encode_text, encode = tiny_generator.encoder.encode_text, tiny_generator.denoiser.encode
    monkeypatch.setattr(
        tiny_generator.encoder,
        "encode_text",
        lambda names, template=0: texts.append(len(names)) or encode_text(names, template),
        raising=False,
    )
    monkeypatch.setattr(
        tiny_generator.denoiser,
        "encode",
        lambda condition, mask: prompts.append(len(condition)) or encode(condition, mask),
    )
    tiny_generator([NAMES, [*NAMES[:2], "cat", "hen"]], num_samples=3, num_inference_steps=5)
    assert texts == [6]
    assert prompts == [2]


def test_the_denoiser_is_evaluated_and_left_as_it_was(tiny_generator: Generator) -> None:
    generator = copy.copy(tiny_generator)
    generator.denoiser = copy.deepcopy(tiny_generator.denoiser).train()
    seen = []
    generator.denoiser.register_forward_pre_hook(lambda *_: None)
    generator.denoiser.decoder.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    generator(NAMES)
    assert seen == [False] * 4
    assert generator.denoiser.training


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_a_named_scheduler_gets_the_trained_noise_process(tiny_generator: Generator, name: str) -> None:
    config = dataclasses.replace(
        tiny_generator.config,
        scheduler={
            "name": "ddim",
            "config": {"num_train_timesteps": 50, "beta_end": 0.3, "prediction_type": "epsilon"},
        },
    )
    made = make_scheduler(config, name)
    assert made.config["num_train_timesteps"] == 50
    assert made.config["beta_end"] == 0.3
    assert made.config["prediction_type"] == "epsilon"


def test_one_step_is_regression(tiny_generator: Generator) -> None:
    """From x_T, a predictor of x0 is asked once, and its answer is the result."""
    condition = encode_task(sorted(NAMES), tiny_generator.encoder)
    [flat] = tiny_generator.generate_parameters([condition], SamplingOptions(num_inference_steps=1))
    layout = tiny_generator.layout(4)
    noise = torch.randn(layout.num_tokens, layout.token_width, generator=task_draws(0, 0, sorted(NAMES)))[None]
    vectors = tiny_generator.condition_space.apply(condition.vectors)[None]
    with torch.no_grad():
        last = torch.tensor([999])
        seen = model_input(noise, last, DDPMScheduler().alphas_cumprod, "sample")
        answer = tiny_generator.denoiser(vectors, torch.ones(1, 4, dtype=torch.bool), seen, last, layout)
    expected = tiny_generator.normalizer.denormalize(layout.scatter(answer), 4)[0]
    torch.testing.assert_close(flat, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DDPMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("UniPCMultistepScheduler", {"timestep_spacing": "trailing"}),
    ],
)
def test_diffusers_schedulers_fit(tiny_generator: Generator, name: str, settings: dict[str, Any]) -> None:
    diffusers = pytest.importorskip("diffusers")
    made = getattr(diffusers, name)(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, prediction_type="sample", **settings
    )
    model = tiny_generator(NAMES, scheduler=made, num_inference_steps=5)
    assert model.provenance["scheduler"] == name
    _same(model, tiny_generator([["ant", "cat", "eel", "gnu"], NAMES[::-1]], scheduler=made, num_inference_steps=5)[1])
    if name == "DDIMScheduler":
        _same(model, tiny_generator(NAMES, num_inference_steps=5))


def test_schedulers_that_do_not_fit_are_refused(tiny_generator: Generator) -> None:
    diffusers = pytest.importorskip("diffusers")
    fitting = {"beta_start": 1e-4, "beta_end": 0.02, "prediction_type": "sample"}
    with pytest.raises(ConfigError, match=r"prediction_type='epsilon', but this generator was trained with 'sample'"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(beta_start=1e-4, beta_end=0.02, clip_sample=False))
    with pytest.raises(ConfigError, match="clip_sample=True, which cuts off weights"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(**fitting))
    with pytest.raises(ConfigError, match="The scheduler is 5; give the name of one"):
        tiny_generator(["ant", "bee"], scheduler=5)
    with pytest.raises(
        ConfigError,
        match="FlowMatchEulerDiscreteScheduler samples rectified flow, but this generator was trained for diff",
    ):
        tiny_generator(NAMES, scheduler=diffusers.FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ConfigError, match=r"flow-match-euler samples rectified flow, .* use one of: ddim, ddpm"):
        tiny_generator(NAMES, scheduler="flow-match-euler")
    with pytest.raises(ConfigError, match="EDMEulerScheduler has noise_process=None"):
        tiny_generator(NAMES, scheduler=diffusers.EDMEulerScheduler())
    with pytest.raises(UnknownNameError, match="Did you mean 'ddim'"):
        tiny_generator(NAMES, scheduler="ddimm")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 1001}, "only 1000 timesteps"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_inference_steps": 2.5}, "must be an integer"),
    ],
)
def test_impossible_settings_are_refused(tiny_generator: Generator, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tiny_generator(NAMES, **settings)


class _Stranger:
    name, dim, space, templates = "stranger", 24, "another-space", ("{}",)


def test_encoders_of_another_space_are_refused(tiny_generator: Generator) -> None:
    with pytest.raises(ConfigError, match=r"'stranger' gives vectors of the space 'another-space'.*reads 'toy-space'"):
        tiny_generator(NAMES, encoder=_Stranger())  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Unknown encoder 'toi'"):
        tiny_generator(NAMES, encoder="toi")


def test_another_encoder_of_the_same_space_is_used(tiny_generator: Generator) -> None:
    class Upside:
        name, dim, space, templates = "upside", 24, "toy-space", ("{}",)

        def encode_text(self, texts: list[str], template: int = 0) -> np.ndarray:
            return -tiny_generator.encoder.encode_text(texts)

    model = tiny_generator(NAMES, encoder=Upside())
    assert model.provenance["encoder"] == "upside"
    _differ(model, tiny_generator(NAMES))
    _differ(tiny_generator(NAMES, template=1), tiny_generator(NAMES))


def test_networks_that_are_not_finite_are_refused(tiny_generator: Generator) -> None:
    broken = copy.copy(tiny_generator)
    broken.denoiser = copy.deepcopy(tiny_generator.denoiser)
    with torch.no_grad():
        broken.denoiser.timestep.projection.weight[0, 0] = torch.nan
    with pytest.raises(TinaError, match=r"generated for 'dog, ant, fox, bee' has values that are not finite"):
        broken(NAMES)


def test_vectors_that_are_not_finite_are_refused(tiny_generator: Generator) -> None:
    vectors = np.full((2, 24), np.nan, dtype=np.float32)
    with pytest.raises(PromptError, match="not finite"):
        tiny_generator(EncodedTask(("a", "b"), ("a", "b"), vectors))


def test_progress_is_reported(tiny_generator: Generator) -> None:
    calls: list[tuple[int, int]] = []
    tiny_generator([NAMES, ["ant", "bee"], ["ant", "cat"]], on_progress=lambda *now: calls.append(now), batch_size=1)
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_generated_networks_can_be_trained_further(tiny_generator: Generator) -> None:
    model = tiny_generator(NAMES)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="Device 'abacus' cannot be used"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="Device 'cuda' cannot be used"):
            resolve_device("cuda")


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
        for name, tensor in _state(model).items():
            torch.testing.assert_close(tensor.cpu(), _state(here)[name], atol=1e-3, rtol=1e-3)


def test_a_batch_costs_one_pass_a_step(tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    denoise = tiny_generator.denoiser.denoise
    monkeypatch.setattr(
        tiny_generator.denoiser,
        "denoise",
        lambda tokens, *rest: passes.append(len(tokens)) or denoise(tokens, *rest),
    )
    names = tiny_generator.config.class_names
    tasks = [[names[k % 12], names[(k + 1 + k // 12) % 12]] for k in range(24)]
    tiny_generator(tasks, num_inference_steps=3, batch_size=16)
    assert passes == [16] * 3 + [8] * 3


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


def test_encoders_given_by_name_do_not_pile_up(tiny_generator: Generator) -> None:
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
