"""Batches of tasks: the order of classes and tasks, and the batch size, change no network."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from tests.generator.comparison import assert_differ, assert_same, state_of
from tina_framework.errors import PromptError, TinaError
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask

NAMES = ["dog", "ant", "fox", "bee"]


def test_many_tasks_give_a_list_in_their_order(tiny_generator: Generator) -> None:
    tasks = [NAMES, ["ant", "bee"], NAMES[::-1], ["cat", "eel"], ["ant", "bee", "cat"]]
    models = tiny_generator(tasks)
    assert [list(model.class_names) for model in models] == tasks
    for task, model in zip(tasks, models, strict=True):
        assert_same(model, tiny_generator(task))


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_the_order_of_classes_does_not_matter(tiny_generator: Generator, scheduler: str) -> None:
    first = tiny_generator(NAMES, scheduler=scheduler)
    for order in ([3, 1, 0, 2], [1, 2, 3, 0]):
        assert_same(first, tiny_generator([NAMES[k] for k in order], scheduler=scheduler))


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_other_tasks_in_the_batch_do_not_matter(tiny_generator: Generator, scheduler: str, batch_size: int) -> None:
    tasks = [["ant", "bee", "cat"], NAMES, ["gnu", "hen", "jay"], NAMES[:3], ["kite", "lion", "ibis", "eel"]]
    for task, model in zip(tasks, tiny_generator(tasks, scheduler=scheduler, batch_size=batch_size), strict=True):
        assert_same(model, tiny_generator(task, scheduler=scheduler))


def test_chunk_tokens_are_independent_of_order_and_batch(tiny_generator: Generator) -> None:
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
    assert_same(first, generator(NAMES[::-1]))
    assert_same(first, generator([["ant", "bee", "cat", "eel"], NAMES])[1])
    assert_differ(first, generator(NAMES, seed=1))


def test_every_possible_class_count_works(tiny_generator: Generator) -> None:
    from_two_to_ten = [list(tiny_generator.config.class_names[:count]) for count in range(2, 11)]
    for model in tiny_generator(from_two_to_ten):
        assert state_of(model)["fc.weight"].shape == (len(model.class_names), 32)


def test_a_generator_may_ask_for_more_classes_than_two(tiny_generator: Generator) -> None:
    config = dataclasses.replace(tiny_generator.config, min_classes=4)
    picky = Generator(config, tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
    assert picky(NAMES).class_names == tuple(NAMES)
    with pytest.raises(PromptError, match=r"3 classes were named.* for 4 to 10; add some"):
        picky(NAMES[:3])


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
        lambda condition: prompts.append(len(condition)) or encode(condition),
    )
    tiny_generator([NAMES, [*NAMES[:2], "cat", "hen"]], num_samples=3, num_inference_steps=5)
    assert texts == [6]
    assert prompts == [2]


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


def test_the_denoiser_is_evaluated_and_left_as_it_was(tiny_generator: Generator) -> None:
    generator = copy.copy(tiny_generator)
    generator.denoiser = copy.deepcopy(tiny_generator.denoiser).train()
    seen = []
    generator.denoiser.register_forward_pre_hook(lambda *_: None)
    generator.denoiser.decoder.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    generator(NAMES)
    assert seen == [False] * 4
    assert generator.denoiser.training


def test_a_part_of_the_denoiser_that_was_left_in_training_is_evaluated_too(tiny_generator: Generator) -> None:
    generator = copy.copy(tiny_generator)
    generator.denoiser = copy.deepcopy(tiny_generator.denoiser).eval()
    generator.denoiser.decoder.train()
    seen = []
    generator.denoiser.decoder.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    generator(NAMES)
    assert not any(seen)


def test_the_vector_at_fault_is_counted_in_its_own_task(tiny_generator: Generator) -> None:
    good, bad = np.ones((3, 24), dtype=np.float32), np.ones((3, 24), dtype=np.float32)
    bad[1] = 0.0
    tasks = [EncodedTask(("a", "b", "c"), ("a", "b", "c"), vectors) for vectors in (good, bad)]
    with pytest.raises(PromptError, match="vector number 1 is zero or not finite"):
        tiny_generator(tasks)


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
