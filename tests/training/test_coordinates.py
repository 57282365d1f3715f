"""The factors of whitened coordinates, as a run computes them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError
from tina_framework.training.components import build_components
from tina_framework.training.coordinates import damping_of, whitening_factors
from tina_framework.training.run_inputs import load_images, open_inputs

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_whitening_starts_at_the_generic_model_too(make_config: Callable[..., TrainingConfig]) -> None:
    """The ridge regression is fitted to whitened rows, so the first prediction is the same network."""
    made = [
        build_components(make_config(whitening=damping, ridge=1e-6), torch.device("cpu")) for damping in (None, 0.1)
    ]
    names = made[0].seen_classes[:3]
    flats = []
    for components in made:
        context = components.context
        condition = context.pad_conditions([context.conditions.of(names)])
        mask = context.class_mask(torch.tensor([3]))
        tokens = torch.zeros(1, context.layout.num_tokens, context.layout.token_width)
        last = torch.tensor([context.config.num_train_timesteps - 1])
        predicted = components.denoiser.eval()(condition, mask, tokens, last, context.layout)
        flat = context.normalizer.denormalize(context.layout.scatter(predicted), context.config.max_classes)
        flats.append(components.spec.narrow(flat, context.config.max_classes, 3))
    torch.testing.assert_close(flats[0], flats[1], atol=2e-3, rtol=2e-3)


def test_a_network_without_a_layer_that_can_be_whitened_is_refused(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tina_framework.training.kronecker.MOST_COLUMNS", 1)
    with pytest.raises(ConfigError, match="No layer of 'cnn-2layer' can be whitened"):
        build_components(make_config(whitening=0.1), CPU)


def test_a_run_in_plain_coordinates_needs_no_factors(make_config: Make) -> None:
    assert whitening_factors(open_inputs(make_config()), CPU) == {}


def test_factors_do_not_depend_on_who_loaded_the_images(make_config: Make) -> None:
    inputs = open_inputs(make_config(whitening=0.1))
    one, two = whitening_factors(inputs, CPU), whitening_factors(inputs, CPU, load_images(inputs, CPU))
    assert list(one) == list(two)
    assert one
    assert all(torch.equal(one[name], two[name]) for name in one)


RECIPE = {"recipe": {"whitening": 0.05}}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (RECIPE, 0.05),
        ({"recipe": {"whitening": None}, "start": RECIPE}, 0.05),  # it kept the coordinates of its start
        ({"recipe": {"whitening": None}}, None),
        ({"recipe": "none"}, None),
        ({"recipe": {"whitening": True}}, None),
        ({"recipe": {"whitening": -1.0}}, None),
        ({"start": "x"}, None),
        ({}, None),
    ],
)
def test_the_damping_for_an_architecture_that_a_start_does_not_know(
    training: dict[str, Any], expected: float | None
) -> None:
    whitening = SimpleNamespace(whitening="factors")
    start = SimpleNamespace(
        config=SimpleNamespace(architectures={"known": {}}, training=training), normalizer=whitening
    )
    inputs = SimpleNamespace(start=start, config=None, spec=SimpleNamespace(architecture=SimpleNamespace(name="new")))
    assert damping_of(cast(Any, inputs)) == expected
    inputs.spec.architecture.name = "known"
    assert damping_of(cast(Any, inputs)) is None
    inputs.spec.architecture.name = "new"
    whitening.whitening = None  # its other architectures have plain coordinates
    assert damping_of(cast(Any, inputs)) is None
