"""What an architecture says about its input."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture


def test_the_network_reads_pictures_or_the_features_of_its_trunk() -> None:
    plain = TargetArchitecture("plain", lambda k: nn.Linear(5, k), (1, 4, 6))
    assert plain.network_input == (1, 4, 6)
    trunk = FrozenTrunk("trunk", nn.Identity, feature_shape=(5,))
    assert dataclasses.replace(plain, trunk=trunk).network_input == (5,)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TargetArchitecture("plain", nn.Identity).name = "other"  # type: ignore[misc]
