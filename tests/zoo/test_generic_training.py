"""The generic model: reproducible, and resumed after each epoch."""

from __future__ import annotations

import pytest
import torch

from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank

RECIPE = SGDRecipe(epochs=3, batch_size=32, lr=0.05, precision="fp32")


class Cut(Exception):
    """Stands for the power going off."""


@pytest.fixture(scope="module")
def bank(dataset, spec):
    return ImageBank(dataset, "validation", spec)


@pytest.fixture(scope="module")
def whole(spec, bank, tmp_path_factory):
    return train_generic(spec, bank, RECIPE, 0, tmp_path_factory.mktemp("whole") / "partial.safetensors", "one")


def stopped_after(epochs, spec, bank, partial):
    def stop(epoch, loss):
        if epoch == epochs:
            raise Cut

    with pytest.raises(Cut):
        train_generic(spec, bank, RECIPE, 0, partial, "one", stop)


def test_a_stopped_run_goes_on_and_gives_the_same_model(tmp_path, spec, bank, whole):
    partial, seen = tmp_path / "partial.safetensors", []
    stopped_after(2, spec, bank, partial)
    state = train_generic(spec, bank, RECIPE, 0, partial, "one", lambda epoch, loss: seen.append(epoch))
    assert seen == [3]
    assert all(torch.equal(state[name], whole[name]) for name in whole)


@pytest.mark.parametrize("case", ["other settings", "damaged file"])
def test_what_cannot_be_gone_on_from_is_started_again(tmp_path, spec, bank, whole, case):
    partial, seen = tmp_path / "partial.safetensors", []
    stopped_after(2, spec, bank, partial)
    if case == "damaged file":
        partial.write_bytes(partial.read_bytes()[:100])
    identity = "two" if case == "other settings" else "one"
    state = train_generic(spec, bank, RECIPE, 0, partial, identity, lambda epoch, loss: seen.append(epoch))
    assert seen == [1, 2, 3]
    assert all(torch.equal(state[name], whole[name]) for name in whole)


def test_a_start_that_is_given_takes_the_place_of_the_drawn_one(tmp_path, spec, bank, whole):
    drawn = dict(spec.architecture.build(len(bank.class_names)).named_parameters())
    with seeded_random_state(0):
        same = dict(spec.architecture.build(len(bank.class_names)).named_parameters())
    for name, start in (("same", same), ("other", drawn)):
        state = train_generic(spec, bank, RECIPE, 0, tmp_path / f"{name}.safetensors", start=start)
        assert all(torch.equal(state[n], whole[n]) for n in whole) == (name == "same")
        assert all(not torch.equal(start[n], state[n]) for n in whole), "the start is not changed in place"
