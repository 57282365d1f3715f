"""The registry of architectures: a width behind the name."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.admission import admit
from tina_framework.plugin.architecture_registry import ArchitectureRegistry
from tina_framework.plugin.discovery import registries

SIZES = (3, 8, 8)


class Pooled(nn.Sequential):
    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__(nn.Flatten(), nn.Linear(192, round(4 * width)), nn.Linear(round(4 * width), num_classes))


class OnlyNarrow(nn.Sequential):
    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        inside = 192 if width <= 1 else 100  # 192 pixels do not fit the wider networks
        super().__init__(nn.Flatten(), nn.Linear(inside, num_classes))


def family(build: Any, name: str = "mine") -> TargetArchitecture:
    return TargetArchitecture(name, build, SIZES, widths=(0.5, 2))


@pytest.fixture
def registry() -> ArchitectureRegistry:
    return ArchitectureRegistry("architecture", admit=admit)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("cnn-2layer", "cnn-2layer"),
        ("cnn-2layer@1", "cnn-2layer"),
        ("cnn-2layer@1.50", "cnn-2layer@1.5"),
        ("cnn-3layer@5e-1", "cnn-3layer@0.5"),
    ],
)
def test_a_built_in_at_a_width(spec: str, name: str) -> None:
    known = registries().architectures
    made = known.create(spec)
    assert made.name == name
    assert known.create(made.name) == made == known.create_unchecked(spec)
    assert spec in known
    assert known.entry(spec).name == spec.partition("@")[0]
    assert known.target(spec) is known.target(spec.partition("@")[0])


def test_the_plain_name_is_the_object_itself() -> None:
    assert registries().architectures.create("cnn-2layer") is cnn_2layer


@pytest.mark.parametrize("width", ["wide", "", "nan", "inf", "1@2", "1,5", "1_5"])
def test_a_malformed_width(width: str) -> None:
    known = registries().architectures
    for look_up in (known.create, known.create_unchecked, known.entry):
        with pytest.raises(ConfigError, match=r"'cnn-2layer@.*' has the width '.*', which is no number; .*@1\.5'\.$"):
            look_up(f"cnn-2layer@{width}")
    assert f"cnn-2layer@{width}" not in known


def test_a_width_that_the_family_lacks() -> None:
    with pytest.raises(ConfigError, match=r"widths from 0\.25 to 4, so 9\.0 is none of them"):
        registries().architectures.create("cnn-2layer@9")


def test_unknown_names_with_a_width() -> None:
    known = registries().architectures
    assert "cnn-2l@2" not in known
    assert 3 not in known
    with pytest.raises(UnknownNameError, match=r"Unknown architecture 'cnn-2l'\. Did you mean 'cnn-2layer'"):
        known.create("cnn-2l@2")


def test_every_width_of_a_plugin_is_run_once(registry: ArchitectureRegistry) -> None:
    registry.add("mine", family(Pooled), distribution="tina-mine")
    wide = registry.create("mine@2")
    assert wide.name == "mine@2"
    assert registry.create("mine@2.0") is wide
    registry.add("narrow", family(OnlyNarrow, "narrow"), distribution="tina-mine")
    assert registry.create("narrow@0.5").width == 0.5
    with pytest.raises(PluginError, match=r"^Architecture 'narrow' of 'tina-mine'.* fails on 2 pictures"):
        registry.create("narrow@2")


def test_a_name_with_argument_and_width(registry: ArchitectureRegistry) -> None:
    def sized(size: str = "8") -> TargetArchitecture:
        return TargetArchitecture(f"mine:{size}", Pooled, (3, int(size), int(size)), widths=(0.5, 2))

    registry.add("mine", sized, distribution="tina-mine")
    made = registry.create("mine@2:8")
    assert (made.name, made.width) == ("mine@2:8", 2)
    assert registry.create(made.name) == made


def test_a_width_of_something_else(registry: ArchitectureRegistry) -> None:
    registry.add("mine", dict)
    with pytest.raises(PluginError, match="register a TargetArchitecture"):
        registry.create_unchecked("mine@2")


@pytest.mark.parametrize("widths", [(2, 1), (0, 2), (1, float("inf")), (1.5, 2), (1,), (True, 2), ("1", 2), 2])
def test_widths_that_are_no_range_are_refused(registry: ArchitectureRegistry, widths: Any) -> None:
    registry.add("mine", TargetArchitecture("mine", Pooled, SIZES, widths=widths), distribution="tina-mine")
    with pytest.raises(PluginError, match=r"widths is .*; give the least and the greatest multiplier"):
        registry.create("mine")
