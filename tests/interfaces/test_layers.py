"""Descriptions of layers: which kind each tensor is, and which tokens look alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.layers import (
    DESCRIPTOR_SIZE,
    KINDS,
    TensorRole,
    class_row_descriptor,
    describe_tensors,
    descriptor,
)
from tina_framework.interfaces.spec import ParameterSpec

CONV = TensorRole("conv", "conv", depth=1, num_layers=3, outputs=64, inputs=288, kernel=9)


class EveryKind(nn.Module):
    """A layer of each kind that has a description, and a head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.GroupNorm(2, 8)
        self.depthwise = nn.Conv2d(8, 16, 3, groups=8, bias=False)
        self.block = nn.Sequential(nn.Conv2d(16, 12, 1, bias=False), nn.PReLU(12), nn.RMSNorm(12))
        self.grouped = nn.Conv2d(12, 6, (3, 1), stride=(2, 1), groups=3, bias=False)
        self.line = nn.Conv1d(6, 4, 5, bias=False)
        self.volume = nn.Conv3d(4, 2, 2, bias=False)
        self.linear = nn.Linear(2, 5)
        self.last_norm = nn.LayerNorm(5)
        self.head = nn.Linear(5, num_classes)


def roles(build: type[nn.Module]) -> dict[str, TensorRole]:
    return {role.name: role for role in describe_tensors(ParameterSpec(TargetArchitecture("a-net", build)))}


def test_every_kind_of_layer() -> None:
    found = roles(EveryKind)
    assert {name: (role.kind, role.outputs, role.inputs) for name, role in found.items()} == {
        "stem.weight": ("conv", 8, 27),
        "stem.bias": ("bias", 1, 8),
        "norm.weight": ("norm", 1, 8),
        "norm.bias": ("bias", 1, 8),
        "depthwise.weight": ("depthwise", 16, 9),
        "block.0.weight": ("pointwise", 12, 16),
        "block.1.weight": ("norm", 1, 12),
        "block.2.weight": ("norm", 1, 12),
        "grouped.weight": ("conv", 6, 12),
        "line.weight": ("conv", 4, 30),
        "volume.weight": ("conv", 2, 32),
        "linear.weight": ("linear", 5, 2),
        "linear.bias": ("bias", 1, 5),
        "last_norm.weight": ("norm", 1, 5),
        "last_norm.bias": ("bias", 1, 5),
    }
    assert {role.kind for role in found.values()} | {"class-row"} == set(KINDS)


def test_kernels_strides_and_groups_are_those_of_convolutions() -> None:
    found = roles(EveryKind)
    sizes = {name: (role.kernel, role.stride, role.groups) for name, role in found.items()}
    assert sizes["stem.weight"] == (9, 4, 1)
    assert sizes["depthwise.weight"] == (9, 1, 8)
    assert sizes["grouped.weight"] == (3, 2, 3)
    assert sizes["volume.weight"] == (8, 1, 1)
    assert sizes["stem.bias"] == sizes["linear.weight"] == (1, 1, 1)


def test_tensors_of_one_layer_have_one_depth_and_the_head_is_not_counted() -> None:
    found = roles(EveryKind)
    assert found["stem.weight"].depth == found["stem.bias"].depth == 0
    assert found["last_norm.bias"].depth == 10
    assert {role.num_layers for role in found.values()} == {11}
    assert [role.depth for role in describe_tensors(ParameterSpec(cnn_2layer))] == [0, 1]


def test_the_roles_have_the_order_of_the_flat_vector() -> None:
    spec = ParameterSpec(TargetArchitecture("a-net", EveryKind))
    assert list(roles(EveryKind)) == [info.name for info in spec.parameters(5) if info.class_axis is None]


class Own(nn.Module):
    """A tensor that belongs to no layer."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.head = nn.Linear(4, num_classes)


class Attention(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 2)
        self.head = nn.Linear(4, num_classes)


class Transposed(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 2)
        self.head = nn.Linear(4, num_classes)


class Normed(nn.Module):
    """The weight that the layer computes with is not the one that is generated."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4, bias=False))
        self.head = nn.Linear(4, num_classes)


@pytest.mark.parametrize(
    ("build", "name", "layer"),
    [
        (Own, "scale", "Own"),
        (Attention, "mix.in_proj_weight", "MultiheadAttention"),
        (Transposed, "up.weight", "ConvTranspose2d"),
        (Normed, "body.parametrizations.weight.original0", "ParametrizationList"),
    ],
)
def test_other_layers_are_refused(build: type[nn.Module], name: str, layer: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"'a-net': the parameter '{name}' belongs to a {layer}, which has no descr.*Conv2d"
    ):
        roles(build)


def test_a_network_of_class_rows_only_has_no_roles() -> None:
    spec = ParameterSpec(TargetArchitecture("head", lambda num_classes: nn.Linear(4, num_classes)))
    assert describe_tensors(spec) == []
    assert class_row_descriptor(spec, 5).isfinite().all()


@given(
    kind=st.sampled_from(KINDS),
    depth=st.integers(0, 300),
    more=st.integers(1, 300),
    outputs=st.integers(1, 5000),
    inputs=st.integers(1, 100_000),
    parts=st.integers(1, 9),
    data=st.data(),
)
def test_descriptors_are_short_and_finite(
    kind: str, depth: int, more: int, outputs: int, inputs: int, parts: int, data: st.DataObject
) -> None:
    role = TensorRole("x", kind, depth, depth + more, outputs, inputs, kernel=9, stride=4, groups=2)
    arguments = data.draw(st.integers(0, outputs - 1)), data.draw(st.integers(0, parts - 1)), parts
    found = descriptor(role, *arguments)
    assert found.shape == (DESCRIPTOR_SIZE,)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert torch.equal(found, descriptor(role, *arguments))


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm())


@pytest.mark.parametrize("family", [cnn_2layer, cnn_3layer])
def test_the_filters_of_a_narrow_network_resemble_the_first_ones_of_a_wide_network(family: TargetArchitecture) -> None:
    narrow, wide = (describe_tensors(ParameterSpec(family.at_width(width))) for width in (0.5, 1.0))
    assert [role.name for role in narrow] == [role.name for role in wide]
    for few, many in zip(narrow, wide, strict=True):
        assert few.outputs * 2 == many.outputs or few.outputs == 1
        others = torch.stack([descriptor(many, index) for index in range(many.outputs)])
        for index in range(few.outputs):
            found = (others - descriptor(few, index)).norm(dim=1)
            assert int(found.argmin()) == index
            assert others.shape[0] == 1 or found[torch.arange(len(others)) != index].min() > 1.2


def test_tokens_of_another_place_look_different() -> None:
    base = descriptor(CONV, 3, 0, 2)
    others = {
        "filter": descriptor(CONV, 4, 0, 2),
        "part": descriptor(CONV, 3, 1, 2),
        "kind": descriptor(replace(CONV, kind="depthwise"), 3, 0, 2),
        "depth": descriptor(replace(CONV, depth=2), 3, 0, 2),
        "depth from the end": descriptor(replace(CONV, num_layers=4), 3, 0, 2),
    }
    assert {name: distance(base, other) > 0.4 for name, other in others.items()} == dict.fromkeys(others, True)
    # A quarter more channels is near, twice as many is far.
    near, far = (
        distance(base, descriptor(replace(CONV, inputs=round(CONV.inputs * more)), 3, 0, 2)) for more in (1.25, 2)
    )
    assert 0.5 < near < 1.0 < 1.5 < far


def test_no_two_filters_of_a_layer_look_alike() -> None:
    found = torch.stack([descriptor(replace(CONV, outputs=512), index) for index in range(512)])
    apart = torch.cdist(found, found) + 9 * torch.eye(512)
    assert apart.min() > 1.0


def test_the_class_row_lies_behind_the_last_layer() -> None:
    spec = ParameterSpec(cnn_2layer)
    found = class_row_descriptor(spec, 33)
    assert found[KINDS.index("class-row")] == 1.0
    assert torch.equal(found, class_row_descriptor(spec, 33))
    assert not torch.equal(found, class_row_descriptor(spec, 65))
    fraction = len(KINDS) + 16
    assert found[fraction] == 1.0
    assert [float(descriptor(role, 0)[fraction]) for role in describe_tensors(spec)] == [0.0, 0.5]


@pytest.mark.parametrize("family", [cnn_2layer, cnn_3layer])
def test_a_relative_lends_its_descriptors(family: TargetArchitecture) -> None:
    wide = ParameterSpec(family)
    narrow = ParameterSpec(family.at_width(0.5), wide)
    for own, other in zip(describe_tensors(narrow), describe_tensors(wide), strict=True):
        assert (own.relative, own.outputs * 2) == (other, other.outputs)
        for index in range(own.outputs):
            assert torch.equal(descriptor(own, index), descriptor(other, index))
    row = class_row_descriptor(narrow, narrow.class_size)
    assert torch.equal(row, class_row_descriptor(wide, wide.class_size))
    assert not torch.equal(row, class_row_descriptor(ParameterSpec(family.at_width(0.5)), narrow.class_size))
