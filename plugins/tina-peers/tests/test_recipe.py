"""Settings out of range are refused, and each phase has its own learning rate schedule."""

from __future__ import annotations

import pytest

from tina_framework.errors import ConfigError
from tina_peers.norm_only import NormOnlySettings
from tina_peers.p_diff import PDiffSettings
from tina_peers.recipe import Recipe, checked
from tina_peers.weight_flow import WeightFlowSettings


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"lr": float("nan")},
        {"warmup": 2.0},
        {"weight_decay": -1.0},
        {"max_classes": 1},
        {"whitening": -0.1},
        {"image_shift": -1},
        {"objective": "x"},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Recipe(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": -1},
        {"hidden": 0},
        {"depth": 0},
        {"latent": 0},
        {"prediction": "v"},
        {"sampling_steps": 0},
        {"clip": float("inf")},
        {"clip": 0.0},
        {"input_noise": float("nan")},
    ],
)
def test_sizes_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        PDiffSettings(**change)  # type: ignore[arg-type]


def test_euler_needs_a_step_and_no_components() -> None:
    assert WeightFlowSettings(components=0, noise=0.0).components == 0
    with pytest.raises(ConfigError, match="sampling_steps is 0; it must be a number from 1"):
        WeightFlowSettings(sampling_steps=0)
    with pytest.raises(ConfigError, match="components is -1; it must be a number from 0"):
        WeightFlowSettings(components=-1)


def test_switches_may_be_off() -> None:
    assert not NormOnlySettings(scale_inputs=False).scale_inputs


def test_the_rate_rises_and_falls_in_each_phase() -> None:
    recipe = Recipe(steps=101, warmup=0.1)
    rates = [recipe.rate(step, 2) for step in range(101)]
    for part in (rates[:50], rates[50:]):
        assert max(part) > 0.99
        assert part[0] < 0.3
        assert part[-1] < 0.01
    assert recipe.phase(49, 2) == (0, 0, 50)
    assert recipe.phase(50, 2) == (1, 50, 101)


@pytest.mark.parametrize(
    ("values", "match"),
    [({"a": 1}, "does not know a"), ({**vars(PDiffSettings()), "latent": "64"}, "latent"), ({}, "lacks")],
)
def test_values_of_a_file_are_checked(values: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        checked(PDiffSettings, values, "'config.json'")
