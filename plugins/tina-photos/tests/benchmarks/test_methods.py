"""Methods that have seen no photograph of a task's classes."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from photo_tables.closed_form import nearest
from photo_tables.methods import (
    RandomVectors,
    Texts,
    Truth,
    by_cosine,
    by_generator,
    by_own_answer,
    by_random_vectors,
    warned,
)
from torch import nn

from tina_framework.errors import PromptWarning

TRUTH = Truth(torch.eye(12) * 9 + 1, torch.zeros(12))
TEXTS = Texts(np.eye(12, dtype=np.float32), np.eye(12, dtype=np.float32)[[3, 7, 5]])


class FakeGenerator:
    encoder = SimpleNamespace(name="fake", dim=4, space="fake", templates=("{}",))

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, prompts: list[str], encoder: Any = None) -> Any:
        self.asked.append((prompts, encoder))
        warnings.warn("unsure", PromptWarning, stacklevel=2)
        network = nn.Linear(12, len(prompts), bias=False)
        nn.init.constant_(network.weight, float(len(prompts)))
        return SimpleNamespace(network=network)


def test_the_row_of_the_greatest_cosine_answers() -> None:
    method = by_cosine(TEXTS.fitted(nearest, TRUTH))
    assert method((0, 2), torch.eye(12)[[3, 5]]).argmax(dim=1).tolist() == [0, 1]
    shifted = by_cosine(TEXTS.fitted(nearest, TRUTH), torch.full((12,), 100.0))
    assert shifted((2, 0), torch.eye(12)[[3, 5]] + 100).argmax(dim=1).tolist() == [1, 0]


def test_labels_can_be_left_out_of_a_fit() -> None:
    left_out = np.arange(12) == 3
    rows = TEXTS.fitted(nearest, TRUTH, left_out)
    assert not torch.equal(rows[0], TEXTS.fitted(nearest, TRUTH)[0])
    assert torch.equal(rows[1], TEXTS.fitted(nearest, TRUTH)[1])


def test_own_answers_are_translated() -> None:
    method = by_own_answer(TEXTS, TRUTH)
    assert method((0, 1), torch.eye(12)[[7, 3]]).argmax(dim=1).tolist() == [1, 0]


def test_texts_are_centred_by_the_labels() -> None:
    texts = Texts.centred(np.eye(3, dtype=np.float32) + 5, np.eye(3, dtype=np.float32)[:1] + 5)
    np.testing.assert_allclose(texts.labels_ME.sum(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(texts.prompts_KE[0], texts.labels_ME[0], atol=1e-6)


def test_the_generator_is_asked_for_each_task_without_warnings() -> None:
    generator = FakeGenerator()
    method = by_generator(generator, ["a", None, "c"], "table")  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logits = method((2, 0), torch.ones(5, 12))
    assert generator.asked == [(["c", "a"], "table")]
    assert logits.shape == (5, 2)
    assert not logits.requires_grad
    assert warned(generator, ["a"]) == ["unsure"]  # type: ignore[arg-type]


def test_random_vectors_depend_on_the_text_alone() -> None:
    encoder = RandomVectors(FakeGenerator.encoder, 1)
    found = encoder.encode_text(["a", "b", "a"])
    assert found.shape == (3, 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.1
    assert np.abs(found - RandomVectors(FakeGenerator.encoder, 2).encode_text(["a", "b", "a"])).max() > 0.1
    with pytest.raises(AttributeError):
        RandomVectors(object(), 1)


def test_each_task_gets_other_random_vectors() -> None:
    generator = FakeGenerator()
    method = by_random_vectors(generator, ["a", "b"])  # type: ignore[arg-type]
    for _ in range(2):
        method((0, 1), torch.ones(1, 12))
    first, second = (encoder.encode_text(["a"]) for _, encoder in generator.asked)
    assert np.abs(first - second).max() > 0.1
