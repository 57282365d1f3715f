"""Networks become standardised differences and come back; zero is nearly the network of *selection*."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from tina_framework import TargetArchitecture
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import FrozenTrunk
from tina_framework.interfaces.spec import ParameterSpec
from tina_peers.differences import Differences
from tina_peers.setup import Setup


@pytest.fixture(scope="module")
def setup(make_setup: Callable[..., Setup]) -> Setup:
    return make_setup("norm-only")


@pytest.mark.parametrize("count", [2, 5])
def test_split_and_join_are_inverse(setup: Setup, count: int) -> None:
    flat = torch.randn(3, setup.spec.num_parameters(count))
    shared, rows = setup.differences.split(flat, count)
    assert shared.shape == (3, setup.differences.shared)
    assert rows.shape == (3, count, setup.differences.row)
    assert torch.equal(setup.differences.join(shared, rows), flat)
    state = setup.spec.unflatten(flat, count)
    assert torch.equal(rows[..., :32], state["fc.weight"])
    assert torch.equal(rows[..., 32], state["fc.bias"])


def test_differences_give_the_p_models_back(setup: Setup) -> None:
    for batch in setup.all_p_models():
        flats = setup.differences.networks(batch.shared, batch.rows, batch.inputs.conditions)
        for names, flat in zip(batch.inputs.classes, flats, strict=True):
            [entry] = [entry for entry in setup.zoo.entries if entry.classes == names]
            torch.testing.assert_close(flat, setup.zoo.flat(entry.id), atol=1e-5, rtol=1e-4)


def test_the_differences_of_each_tensor_have_size_one(setup: Setup) -> None:
    shared = torch.cat([batch.shared for batch in setup.all_p_models()])
    assert float(shared.square().mean()) == pytest.approx(1.0, abs=1e-3)
    rows = torch.cat([batch.rows.flatten(0, 1) for batch in setup.all_p_models()])
    assert float(rows[:, :32].square().mean()) == pytest.approx(1.0, abs=1e-3)
    assert float(rows[:, 32].square().mean()) == pytest.approx(1.0, abs=1e-3)


def test_zero_is_nearly_selection(setup: Setup) -> None:
    conditions = torch.randn(len(setup.class_names), 128, generator=torch.Generator().manual_seed(0))
    differences = Differences(setup.spec, 128)
    groups = [(torch.randn(2, differences.shared), torch.randn(2, 3, differences.row), torch.zeros(2, 3, 128))]
    differences.fit(setup.zoo.generic, conditions, groups, ridge=1e-6)
    shared, rows = torch.zeros(1, differences.shared), torch.zeros(1, 4, differences.row)
    [flat] = differences.networks(shared, rows, conditions[None, :4])
    state = setup.spec.unflatten(flat, 4)
    assert torch.equal(state["conv1.weight"], setup.zoo.generic["conv1.weight"])
    torch.testing.assert_close(state["fc.weight"], setup.zoo.generic["fc.weight"][:4], atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def whitened(make_setup: Callable[..., Setup]) -> Setup:
    return make_setup("p-diff", whitening=0.1)


def test_whitened_differences_give_the_p_models_back_and_have_size_one(whitened: Setup, setup: Setup) -> None:
    names = {name for name, _ in whitened.differences.named_buffers() if name.startswith("factor_")}
    assert {"factor_left_conv2_weight", "factor_right_conv2_weight", "factor_right_fc_weight"} <= names
    assert "factor_left_fc_weight" not in names  # classes are treated alike
    plain = {batch.inputs.classes[0]: batch for batch in setup.all_p_models()}
    for batch in whitened.all_p_models():
        flats = whitened.differences.networks(batch.shared, batch.rows, batch.inputs.conditions)
        for names_of, flat in zip(batch.inputs.classes, flats, strict=True):
            [entry] = [entry for entry in whitened.zoo.entries if entry.classes == names_of]
            torch.testing.assert_close(flat, whitened.zoo.flat(entry.id), atol=1e-5, rtol=1e-3)
        assert not torch.allclose(batch.shared, plain[batch.inputs.classes[0]].shared, atol=0.1)
    shared = torch.cat([batch.shared for batch in whitened.all_p_models()])
    assert float(shared.square().mean()) == pytest.approx(1.0, abs=1e-3)


def test_the_whitening_is_made_once_and_follows_its_factors(whitened: Setup) -> None:
    differences = copy.deepcopy(whitened.differences)
    made = differences.whitening
    assert made is not None
    assert differences.whitening is made
    copied = copy.deepcopy(differences)
    assert copied.whitening is not made
    with torch.no_grad():
        copied.get_buffer("factor_right_fc_weight").mul_(2)
    assert differences.whitening is made
    flat = torch.randn(2, whitened.spec.num_parameters(3))
    for change in (
        lambda: copied.load_state_dict(differences.state_dict()),  # writes into the factors
        lambda: copied.load_state_dict({name: 3 * t for name, t in differences.state_dict().items()}, assign=True),
        lambda: copied.to(torch.float64).to(torch.float32),  # as another device, replaces them
        lambda: copied.get_buffer("factor_left_conv1_weight").mul_(0.5),
    ):
        before = copied.whitening
        with torch.no_grad():
            change()
        now = copied.whitening
        assert now is not None
        assert now is not before
        assert torch.equal(now.factors["right.fc.weight"], copied.get_buffer("factor_right_fc_weight"))
        torch.testing.assert_close(now.apply(now.invert(flat, 3), 3), flat, atol=1e-3, rtol=1e-3)


def test_a_zoo_without_p_models_is_refused(setup: Setup) -> None:
    with pytest.raises(ConfigError, match="no p-Model"):
        Differences(setup.spec, 4).fit(setup.zoo.generic, torch.randn(len(setup.class_names), 4), [])


def test_heads_are_refused() -> None:
    trunk = FrozenTrunk("t", lambda: torch.nn.Flatten(), feature_shape=(8,))
    head = TargetArchitecture(name="head", build=lambda count: torch.nn.Linear(8, count), trunk=trunk)
    with pytest.raises(ConfigError, match="class rows only"):
        Differences(ParameterSpec(head), 4)
