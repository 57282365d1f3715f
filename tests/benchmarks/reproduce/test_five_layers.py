"""An architecture of a third party, which declares nothing, has descriptors of all its layers."""

from __future__ import annotations

from benchmarks.reproduce.five_layers import FiveLayers
from tina_framework import TargetArchitecture
from tina_framework.interfaces.layers import describe_tensors
from tina_framework.interfaces.spec import ParameterSpec


def test_five_layers_are_described() -> None:
    spec = ParameterSpec(TargetArchitecture("five-layer", FiveLayers))
    roles = describe_tensors(spec)
    assert [role.kind for role in roles] == ["conv", "conv", "conv", "pointwise", "linear"]
    assert [role.kernel for role in roles] == [25, 9, 25, 1, 1]
    assert spec.num_parameters(10) == 25_070
