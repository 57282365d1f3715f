from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec


class Transposed(nn.Module):
    """Its class axis is the second one of `head`, the only one of `bias`; `scale` is a scalar."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.head = nn.Parameter(torch.randn(3, num_classes, 2))
        self.bias = nn.Parameter(torch.randn(num_classes))
        self.scale = nn.Parameter(torch.tensor(1.0))


SPECS = [ParameterSpec(cnn_2layer), ParameterSpec(TargetArchitecture("transposed", Transposed))]
counts = st.integers(1, 24)
specs = st.sampled_from(SPECS)


def test_the_cnn_has_the_published_parameters() -> None:
    spec = SPECS[0]
    assert spec.num_parameters(10) == 5370
    assert [(p.name, p.shape, p.class_axis) for p in spec.parameters(10)] == [
        ("conv1.weight", (16, 3, 3, 3), None),
        ("conv2.weight", (32, 16, 3, 3), None),
        ("fc.weight", (10, 32), 0),
        ("fc.bias", (10,), 0),
    ]


def test_class_axes_are_derived() -> None:
    assert SPECS[1].class_axes == {"head": 1, "bias": 0, "scale": None, "body.weight": None, "body.bias": None}


@given(specs, counts)
def test_shapes_are_those_of_the_module_at_any_class_count(spec: ParameterSpec, num_classes: int) -> None:
    state = spec.architecture.build(num_classes).state_dict()
    assert {p.name: p.shape for p in spec.parameters(num_classes)} == {
        name: tuple(t.shape) for name, t in state.items()
    }
    assert spec.num_parameters(num_classes) == sum(t.numel() for t in state.values())


@given(specs, counts)
def test_flatten_and_unflatten_are_inverse_and_follow_named_parameters(spec: ParameterSpec, num_classes: int) -> None:
    module = spec.architecture.build(num_classes)
    flat = spec.flatten(module.state_dict(), num_classes)
    assert torch.equal(flat, nn.utils.parameters_to_vector(module.parameters()))
    for name, tensor in spec.unflatten(flat, num_classes).items():
        assert torch.equal(tensor, module.state_dict()[name])
    batch = torch.stack([flat, -flat])
    tensors = spec.unflatten(batch, num_classes)
    assert torch.equal(
        tensors["bias" if "bias" in tensors else "fc.bias"][1], -tensors["bias" if "bias" in tensors else "fc.bias"][0]
    )
    assert torch.equal(spec.flatten(tensors, num_classes), batch)


@given(specs, counts)
def test_flat_class_marks_each_class_slot(spec: ParameterSpec, num_classes: int) -> None:
    slots = spec.unflatten(spec.flat_class(num_classes), num_classes)
    for info in spec.parameters(num_classes):
        if info.class_axis is None:
            assert bool((slots[info.name] == -1).all())
        else:
            for slot in range(num_classes):
                assert bool((slots[info.name].select(info.class_axis, slot) == slot).all())


@given(specs, counts, st.data())
def test_selecting_classes_permutes_and_drops_slots(spec: ParameterSpec, num_classes: int, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, num_classes - 1), min_size=1, unique=True))
    state = spec.architecture.build(num_classes).state_dict()
    selected = spec.select_classes(state, torch.tensor(chosen))
    for info in spec.parameters(len(chosen)):
        assert tuple(selected[info.name].shape) == info.shape
        for new, old in enumerate(chosen if info.class_axis is not None else ()):
            assert torch.equal(
                selected[info.name].select(info.class_axis or 0, new),
                state[info.name].select(info.class_axis or 0, old),
            )
        if info.class_axis is None:
            assert torch.equal(selected[info.name], state[info.name])


@given(specs, counts, st.data())
def test_flat_vectors_select_classes_as_state_dicts_do(
    spec: ParameterSpec, num_classes: int, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, num_classes))
    orders = st.permutations(range(num_classes)).map(lambda order: order[:number])
    rows = torch.tensor(data.draw(st.lists(orders, min_size=1, max_size=3)))
    flats = torch.randn(len(rows), spec.num_parameters(num_classes))
    selected = spec.select_flat(flats, num_classes, rows)
    for flat, row, result in zip(flats, rows, selected, strict=True):
        state = spec.select_classes(spec.unflatten(flat, num_classes), row)
        assert torch.equal(result, spec.flatten(state, number))


def test_flat_vectors_of_another_class_count_are_refused() -> None:
    with pytest.raises(ValueError, match="5370 values for 5337 parameters at 9 classes"):
        SPECS[0].select_flat(torch.zeros(1, 5370), 9, torch.arange(9)[None])


def test_changing_a_returned_table_in_place_changes_nothing_else() -> None:
    spec = ParameterSpec(cnn_2layer)
    expected = spec.flat_class(3).clone()
    spec.flat_class(3).zero_()
    assert torch.equal(spec.flat_class(3), expected)


def test_tables_first_made_under_inference_mode_work_in_training() -> None:
    spec = ParameterSpec(cnn_2layer)
    with torch.inference_mode():
        spec.narrow(torch.zeros(1, spec.num_parameters(4)), 4, 2)
        spec.widen(torch.zeros(1, spec.num_parameters(2)), 2, 4)
        spec.select_flat(torch.zeros(1, spec.num_parameters(4)), 4, torch.arange(4)[None])
    flat = torch.randn(1, spec.num_parameters(4), requires_grad=True)
    narrow = spec.narrow(spec.select_flat(flat, 4, torch.tensor([[3, 1, 0, 2]])), 4, 2)
    spec.widen(narrow, 2, 4).sum().backward()
    shared = spec.flat_class(4) < 0
    assert flat.grad is not None
    assert torch.equal(flat.grad[0], (shared | (spec.flat_class(4) % 2 == 1)).float())


@given(specs, counts, counts)
def test_widen_pads_with_zeros_and_narrow_undoes_it(spec: ParameterSpec, a: int, b: int) -> None:
    few, many = sorted((a, b))
    flat = torch.randn(2, spec.num_parameters(few))
    wide = spec.widen(flat, few, many)
    assert wide.shape == (2, spec.num_parameters(many))
    assert torch.equal(spec.narrow(wide, many, few), flat)
    assert bool((wide[:, spec.flat_class(many) >= few] == 0).all())
    first = spec.select_classes(spec.unflatten(wide[0], many), torch.arange(few))
    assert torch.equal(spec.flatten(first, few), flat[0])


def test_wrong_shapes_are_refused() -> None:
    spec = SPECS[0]
    state = cnn_2layer.build(10).state_dict()
    with pytest.raises(ValueError, match=r"'fc.weight' has shape \(10, 32\); expected \(9, 32\)"):
        spec.flatten(state, 9)
    with pytest.raises(ValueError, match="5370 values for 5337 parameters at 9 classes"):
        spec.unflatten(spec.flatten(state, 10), 9)


def test_deriving_a_spec_allocates_nothing() -> None:
    """A network far too large for memory is described all the same: it is built on the meta device."""
    huge = ParameterSpec(TargetArchitecture("huge", lambda k: nn.Linear(10**12, k)))
    assert huge.num_parameters(10) == 10**13 + 10


def test_another_default_type_is_not_called_a_fault_of_the_architecture() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(
            ConfigError, match=r"^The default type of torch is float64, but generated parameters are float32;"
        ):
            ParameterSpec(cnn_2layer)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_head_has_a_frozen_trunk_and_nothing_but_class_rows() -> None:
    trunk = FrozenTrunk("flat", nn.Flatten, (12,))
    heads = TargetArchitecture("head", lambda k: nn.Linear(12, k), input_shape=(3, 2, 2), trunk=trunk)
    assert ParameterSpec(heads).is_head
    shared = TargetArchitecture("two layers", lambda k: nn.Sequential(nn.Linear(12, 4), nn.Linear(4, k)), trunk=trunk)
    without_trunk = TargetArchitecture("linear", lambda k: nn.Sequential(nn.Flatten(), nn.Linear(12, k)))
    assert not ParameterSpec(shared).is_head
    assert not ParameterSpec(without_trunk).is_head


@pytest.mark.parametrize(("own", "relative"), [(cnn_2layer, cnn_2layer.at_width(0.5)), (cnn_2layer, cnn_3layer)])
def test_only_a_wider_network_of_the_family_is_a_relative(
    own: TargetArchitecture, relative: TargetArchitecture
) -> None:
    with pytest.raises(ConfigError, match=f"'{own.name}' cannot be written as '{relative.name}'"):
        ParameterSpec(own, ParameterSpec(relative))
    assert ParameterSpec(cnn_2layer.at_width(0.5), ParameterSpec(cnn_2layer)).class_size == 17
