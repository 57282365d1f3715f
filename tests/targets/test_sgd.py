"""The SGD recipe: schedule, determinism and exact continuation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests.targets.toy_training import SPEC, flat, problem, start
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.targets.batched import fit_batched
from tina_framework.targets.sgd import SGDRecipe, epoch_draws, fit, learning_rate, mirror

RECIPE = SGDRecipe(epochs=4, batch_size=16, lr=0.05, average_last=0.5, precision="fp32")


def test_learning_rate_by_hand():
    recipe = SGDRecipe(epochs=10, lr=0.2, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.2 / 20)
    assert rates[19] == pytest.approx(0.2)
    assert rates[60] == pytest.approx(0.1)  # half-way down the cosine
    assert rates[99] == pytest.approx(0.1 * (1 + math.cos(math.pi * 79 / 80)))


def test_it_learns_and_is_deterministic():
    images, labels = problem()
    one, two = fit(start(), images, labels, RECIPE, 5), fit(start(), images, labels, RECIPE, 5)
    assert torch.equal(flat(one), flat(two))
    assert not torch.equal(flat(one), flat(fit(start(), images, labels, RECIPE, 6)))
    longer = fit(start(), images, labels, SGDRecipe(epochs=20, batch_size=16, lr=0.1, precision="fp32"), 0)
    assert float((longer(images).argmax(1) == labels).float().mean()) > 0.9


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_continuing_is_exact(cut):
    images, labels = problem()
    whole = flat(fit(start(), images, labels, RECIPE, 5))
    states = {}
    fit(start(), images, labels, RECIPE, 5, on_epoch=lambda epoch, loss, state: states.update({epoch: state()}))
    continued = flat(fit(start(seed=99), images, labels, RECIPE, 5, resume=states[cut]))
    assert torch.equal(continued, whole)


@pytest.mark.parametrize("cut", [None, 2])
def test_shifts_are_drawn_by_step_and_do_not_depend_on_a_cut(cut):
    images, labels = problem()
    recipe = SGDRecipe(epochs=4, batch_size=16, lr=0.05, precision="fp32", image_shift=1)
    states = {}
    whole = fit(start(), images, labels, recipe, 5, on_epoch=lambda epoch, loss, state: states.update({epoch: state()}))
    assert not torch.equal(flat(whole), flat(fit(start(), images, labels, replace(recipe, image_shift=0), 5)))
    again = fit(start(), images, labels, recipe, 5, resume=None if cut is None else states[cut])
    assert torch.equal(flat(again), flat(whole))


def test_every_seed_epoch_and_step_draws_its_own_shifts(monkeypatch):
    places = []

    def listen(*place):
        places.append(place)
        return generator_at(*place)

    monkeypatch.setattr("tina_framework.targets.sgd.generator_at", listen)
    monkeypatch.setattr("tina_framework.targets.batched.generator_at", listen)
    images, labels = problem(48)
    recipe = SGDRecipe(epochs=2, batch_size=16, lr=0.05, precision="fp32", image_shift=1)
    wanted = {(seed, "image-shift", epoch, index) for seed in (5, 6) for epoch in range(2) for index in range(3)}
    for seed in (5, 6):
        fit(start(), images, labels, recipe, seed)
    assert len(places) == len(wanted)
    assert set(places) == wanted
    places.clear()
    picks = [torch.arange(48), torch.arange(48)]
    fit_batched(SPEC, 3, torch.stack([flat(start())] * 2), images, picks, [labels, labels], recipe, [5, 6])
    assert len(places) == len(wanted)
    assert set(places) == wanted


def test_draws_and_mirror():
    order, flips = epoch_draws(3, 2, 50)
    assert sorted(order.tolist()) == list(range(50))
    assert torch.equal(order, epoch_draws(3, 2, 50)[0])
    assert not torch.equal(order, epoch_draws(3, 3, 50)[0])
    assert flips.dtype == torch.bool
    batch = torch.arange(6.0).view(2, 1, 1, 3)
    assert mirror(batch, torch.tensor([True, False])).flatten().tolist() == [2, 1, 0, 3, 4, 5]


def test_divergence_and_bad_recipes_are_refused():
    images, labels = problem()
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(start(), images * 1e4, labels, SGDRecipe(epochs=3, lr=1e9, precision="fp32"), 0)
    with pytest.raises(ConfigError, match="above 0"):
        SGDRecipe(epochs=0)
    with pytest.raises(ConfigError, match="image_shift is -1"):
        SGDRecipe(image_shift=-1)
    with pytest.raises(ConfigError, match="choose auto, fp32 or bf16"):
        SGDRecipe(precision="float16")
    with pytest.raises(ConfigError, match="average_last is 2"):
        SGDRecipe(average_last=2)
