"""What an architecture says about its input."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture


def test_the_network_reads_pictures_or_the_features_of_its_trunk() -> None:
    plain = TargetArchitecture("plain", lambda k: nn.Linear(5, k), (1, 4, 6))
    assert plain.network_input == (1, 4, 6)
    trunk = FrozenTrunk("trunk", nn.Identity, feature_shape=(5,))
    assert dataclasses.replace(plain, trunk=trunk).network_input == (5,)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TargetArchitecture("plain", nn.Identity).name = "other"  # type: ignore[misc]


def test_a_family_at_another_width() -> None:
    wide = cnn_2layer.at_width(1.5)
    assert (wide.name, wide.family, wide.width, wide.widths) == ("cnn-2layer@1.5", "cnn-2layer", 1.5, (0.25, 4.0))
    assert [p.shape[0] for p in wide.build(3).parameters()] == [24, 48, 3, 3]
    assert wide == cnn_2layer.at_width(1.5) == cnn_2layer.at_width(2).at_width(1.5)
    assert wide != cnn_2layer.at_width(2)
    assert pickle.loads(pickle.dumps(wide)) == wide


@pytest.mark.parametrize("made", [cnn_2layer.at_width(1), cnn_2layer.at_width(0.5).at_width(1.0000001)])
def test_width_one_is_the_plain_architecture(made: TargetArchitecture) -> None:
    assert made == cnn_2layer
    assert (made.name, made.family, made.width) == ("cnn-2layer", "cnn-2layer", 1.0)


@given(width=st.floats(0.25, 4))
def test_the_name_says_what_is_built(width: float) -> None:
    made = cnn_2layer.at_width(width)
    assert made.at_width(made.width) == made == cnn_2layer.at_width(float(f"{width:g}"))
    named = float((made.name + "@1").split("@")[1])
    assert named == made.width
    with torch.device("meta"):
        assert made.build(2).get_parameter("fc.weight").shape == (2, round(32 * named))


def test_an_argument_stays_behind_the_width() -> None:
    family = TargetArchitecture("heads:64", lambda k, width=1.0: nn.Linear(round(8 * width), k), widths=(0.5, 2))
    assert family.at_width(2).name == "heads@2:64"
    assert family.at_width(2).family == "heads:64"
    assert family.at_width(2).at_width(1).name == "heads:64"


@pytest.mark.parametrize("width", [0.2, 4.1, 0, -1, math.nan, math.inf, 10**400, "2", None, True])
def test_what_is_no_width_of_the_family(width: Any) -> None:
    with pytest.raises(ConfigError, match=r"'cnn-2layer' has widths from 0\.25 to 4, so .* as in 'cnn-2layer@4'\.$"):
        cnn_2layer.at_width(width)


def test_an_architecture_of_one_width() -> None:
    plain = TargetArchitecture("plain", nn.Identity)
    assert (plain.width, plain.family, plain.widths) == (1.0, "plain", None)
    with pytest.raises(ConfigError, match=r"^Architecture 'plain' has no widths, .* write just 'plain'\.$"):
        plain.at_width(2)


def test_widths_of_a_list_become_a_tuple() -> None:
    assert TargetArchitecture("plain", nn.Identity, widths=[0.5, 2]).widths == (0.5, 2)  # type: ignore[arg-type]
