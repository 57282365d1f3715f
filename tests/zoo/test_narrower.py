"""Generic models of several widths: what is cut, where training starts, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.narrower import check_widths, leading_slices, narrow_start

WIDE = cnn_2layer.at_width(2)


def module_of(architecture: TargetArchitecture, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return architecture.build(classes)


@given(
    family=st.sampled_from([cnn_2layer, cnn_3layer]),
    widths=st.tuples(st.floats(0.25, 4), st.floats(0.25, 4)).map(sorted),
    classes=st.integers(2, 40),
)
def test_slices_have_the_shapes_of_the_narrower_network(
    family: TargetArchitecture, widths: list[float], classes: int
) -> None:
    few, many = (ParameterSpec(family.at_width(width)) for width in widths)
    state = {info.name: torch.randn(info.shape) for info in many.parameters(classes)}
    cut = leading_slices(state, few, classes)
    assert {name: tuple(tensor.shape) for name, tensor in cut.items()} == {
        info.name: info.shape for info in few.parameters(classes)
    }
    for name, tensor in cut.items():
        assert tensor.data_ptr() == state[name].data_ptr()
        assert torch.equal(tensor.flatten()[0], state[name].flatten()[0])


def test_slices_by_hand() -> None:
    state = dict(module_of(WIDE).named_parameters())
    cut = leading_slices(state, ParameterSpec(cnn_2layer.at_width(0.5)), 3)
    assert torch.equal(cut["conv2.weight"], state["conv2.weight"][:16, :8])
    assert torch.equal(cut["fc.weight"], state["fc.weight"][:, :16])
    assert torch.equal(cut["fc.bias"], state["fc.bias"])


@given(
    family=st.sampled_from([cnn_2layer, cnn_3layer]),
    widths=st.tuples(st.floats(0.25, 4), st.floats(0.25, 4)).map(sorted),
)
def test_a_start_is_a_slice_whose_weights_make_up_for_lost_inputs(
    family: TargetArchitecture, widths: list[float]
) -> None:
    few, many = (ParameterSpec(family.at_width(width)) for width in widths)
    state = {info.name: torch.randn(info.shape) for info in many.parameters(5)}
    start, cut = narrow_start(state, few, 5), leading_slices(state, few, 5)
    for name, tensor in start.items():
        factor = state[name].shape[1] / tensor.shape[1] if tensor.dim() > 1 else 1
        assert torch.allclose(tensor, cut[name] * factor)
        assert tensor.is_contiguous()
        assert tensor.data_ptr() != state[name].data_ptr()


def test_a_start_by_hand() -> None:
    state = dict(module_of(WIDE).state_dict())
    start = narrow_start(state, ParameterSpec(cnn_2layer.at_width(0.5)), 3)
    assert torch.equal(start["conv1.weight"], state["conv1.weight"][:8]), "pictures lose no channel"
    assert torch.equal(start["conv2.weight"], 4 * state["conv2.weight"][:16, :8])
    assert torch.equal(start["fc.weight"], 4 * state["fc.weight"][:, :16])
    assert torch.equal(start["fc.bias"], state["fc.bias"])


def test_activations_keep_their_size() -> None:
    wide, spec = module_of(WIDE), ParameterSpec(cnn_2layer)
    with torch.no_grad():
        for name, parameter in wide.named_parameters():
            parameter.copy_(torch.ones(()) if name.endswith("weight") else torch.zeros(()))
    small = cnn_2layer.build(3)
    small.load_state_dict(narrow_start(wide.state_dict(), spec, 3))
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(small(images), wide(images))


def test_widths_that_an_architecture_lacks() -> None:
    check_widths(TargetArchitecture("plain", nn.Identity), ())
    with pytest.raises(
        ConfigError, match=r"generic_widths is 0\.5, 1, but architecture 'plain' has no widths; leave it"
    ):
        check_widths(TargetArchitecture("plain", nn.Identity), (0.5, 1))
    with pytest.raises(ConfigError, match=r"widths from 0\.25 to 4, so 0\.1 is none of them"):
        check_widths(WIDE, (0.1, 1))
