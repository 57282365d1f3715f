"""One token for each filter and class: exact round trips, wide filters, and what a token is described by."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.builtins.tokenizers.filter import FilterTokenizer
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.layers import DESCRIPTOR_SIZE, class_row_descriptor, describe_tensors, descriptor
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.plugin.discovery import registries

CNN = ParameterSpec(cnn_2layer)


class Columns(nn.Module):
    """A head whose class axis is the second one, in front of other tensors."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.columns = nn.Parameter(torch.zeros(3, num_classes, 2))
        self.shift = nn.Parameter(torch.zeros(num_classes))
        self.body = nn.Linear(5, 3)


@st.composite
def architectures(draw: st.DrawFn) -> TargetArchitecture:
    """Random small networks: convolutions of any groups, norms, a linear layer, a head that is wide or narrow."""
    channels = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    layers = draw(st.lists(st.sampled_from(["conv", "depthwise", "pointwise", "norm", "prelu"]), max_size=4))
    bias, hidden = draw(st.booleans()), draw(st.none() | st.integers(1, 7))

    def build(num_classes: int) -> nn.Module:
        found: list[nn.Module] = []
        width = 3
        for channel in channels:
            found.append(nn.Conv2d(width, channel, 3, bias=bias))
            width = channel
        for layer in layers:
            made = {
                "conv": nn.Conv2d(width, width, 2, bias=not bias),
                "depthwise": nn.Conv2d(width, 2 * width, 3, groups=width, bias=bias),
                "pointwise": nn.Conv2d(width, width, 1, bias=bias),
                "norm": nn.GroupNorm(1, width),
                "prelu": nn.PReLU(width),
            }[layer]
            found.append(made)
            width *= 2 if layer == "depthwise" else 1
        if hidden is not None:
            found.append(nn.Linear(width, hidden))
            width = hidden
        return nn.Sequential(*found, nn.Linear(width, num_classes, bias=bias))

    return TargetArchitecture("random", build)


def widest_row(spec: ParameterSpec) -> int:
    return spec.num_parameters(2) - spec.num_parameters(1)


@given(
    architecture=architectures() | st.sampled_from([cnn_2layer, cnn_3layer, TargetArchitecture("columns", Columns)]),
    extra=st.integers(0, 60),
    num_classes=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_round_trip_is_exact(architecture: TargetArchitecture, extra: int, num_classes: int, seed: int) -> None:
    spec = ParameterSpec(architecture)
    width = widest_row(spec) + extra
    layout = FilterTokenizer(width).layout(spec, num_classes, num_classes)
    flat = torch.randn(2, spec.num_parameters(num_classes), generator=torch.Generator().manual_seed(seed))
    tokens = layout.gather(flat)
    assert tokens.shape == (2, layout.num_tokens, width)
    assert torch.equal(layout.scatter(tokens), flat)
    assert not tokens[:, layout.source < 0].any()
    assert layout.descriptors is not None
    assert layout.descriptors.shape == (layout.num_tokens, DESCRIPTOR_SIZE)
    assert layout.descriptors.isfinite().all()
    # No shared token holds parts of two filters.
    pieces = sum(role.outputs * -(-role.inputs // width) for role in describe_tensors(spec))
    assert layout.num_tokens == pieces + num_classes


def test_the_layout_of_the_card_network() -> None:
    layout = FilterTokenizer("288").layout(CNN, 10, 10)
    assert layout.group_widths == (288, 288)
    assert layout.group_sizes == (1, 1)
    assert layout.num_tokens == 16 + 32 + 10
    assert layout.equivariant
    assert layout.token_class.tolist() == [-1] * 48 + list(range(10))
    assert (layout.source[:16] >= 0).sum(dim=1).tolist() == [27] * 16
    # Filter 3 of the first convolution, then filter 5 of the second.
    assert layout.source[3, :27].tolist() == list(range(81, 108))
    assert layout.source[16 + 5, :144].tolist() == list(range(432 + 5 * 144, 432 + 6 * 144))
    # The bias of class 3, then its 32 weights: the bias has the same place at every width.
    weights = 432 + 4608 + 3 * 32
    assert layout.source[48 + 3, :33].tolist() == [5040 + 320 + 3, *range(weights, weights + 32)]


def test_each_token_has_the_descriptor_of_its_filter() -> None:
    layout = FilterTokenizer(288).layout(CNN, 4, 10)
    first, second = describe_tensors(CNN)
    assert layout.descriptors is not None
    assert torch.equal(layout.descriptors[3], descriptor(first, 3))
    assert torch.equal(layout.descriptors[16 + 31], descriptor(second, 31))
    assert all(torch.equal(row, class_row_descriptor(CNN, 33)) for row in layout.descriptors[48:])


def test_a_filter_that_is_wider_than_a_token_is_cut() -> None:
    layout = FilterTokenizer(64).layout(CNN, 2, 2)
    assert layout.num_tokens == 16 + 32 * 3 + 2
    parts = layout.source[16:19]
    assert (parts >= 0).sum(dim=1).tolist() == [64, 64, 16]
    assert parts[parts >= 0].tolist() == list(range(432, 432 + 144))
    second = describe_tensors(CNN)[1]
    assert layout.descriptors is not None
    for part in range(3):
        assert torch.equal(layout.descriptors[16 + part], descriptor(second, 0, part, 3))
    assert len(layout.descriptors[16:19].unique(dim=0)) == 3


@pytest.mark.parametrize("architecture", [cnn_2layer, TargetArchitecture("columns", Columns)])
def test_permuting_classes_permutes_class_tokens(architecture: TargetArchitecture) -> None:
    spec, count = ParameterSpec(architecture), 6
    layout = FilterTokenizer(40).layout(spec, count, count)
    flat = torch.randn(1, spec.num_parameters(count))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    state = {k: v[0] for k, v in spec.unflatten(flat, count).items()}
    permuted = spec.flatten(spec.select_classes(state, order), count)[None]
    tokens, after = layout.gather(flat), layout.gather(permuted)
    shared = layout.token_class < 0
    assert torch.equal(after[:, shared], tokens[:, shared])
    assert torch.equal(after[:, ~shared], tokens[:, ~shared][:, order])


def test_all_architectures_and_class_counts_have_tokens_of_one_kind() -> None:
    def kind(layout: TokenLayout) -> tuple[object, ...]:
        assert layout.descriptors is not None
        return (
            layout.group_widths,
            layout.group_sizes,
            layout.token_width,
            layout.equivariant,
            layout.descriptors.shape[1],
        )

    specs = [CNN, ParameterSpec(cnn_2layer.at_width(0.5)), ParameterSpec(cnn_3layer)]
    assert len({kind(FilterTokenizer(200).layout(spec, count, 10)) for spec in specs for count in (2, 10)}) == 1


def test_masks_hide_absent_classes() -> None:
    layout = FilterTokenizer(144).layout(CNN, 10, 10)
    mask = torch.arange(10)[None] < torch.tensor([[4], [10]])
    assert layout.element_mask(mask).sum(dim=(1, 2)).tolist() == [CNN.num_parameters(4), CNN.num_parameters(10)]
    assert layout.token_mask(mask).sum(dim=1).tolist() == [52, 58]


def test_a_class_row_that_is_wider_than_a_token_is_refused() -> None:
    assert FilterTokenizer(33).layout(CNN, 3, 3).token_width == 33
    with pytest.raises(
        ConfigError, match=r"A class of 'cnn-2layer' has 33 parameters, but tokens are 32 wide.*filter:33"
    ):
        FilterTokenizer(32).layout(CNN, 3, 3)


def test_the_width_comes_with_the_name_and_goes_into_the_config() -> None:
    made = registries().tokenizers.create("filter:288")
    assert made.config == {"token_width": 288}
    assert registries().tokenizers.create("filter", **made.config).token_width == 288
    assert registries().tokenizers.create("filter").token_width == 576


@pytest.mark.parametrize("width", [0, 2.5, True, 10**9, "", "wide", "-3", "2.5", "9" * 5000])
def test_other_widths_are_refused(width: object) -> None:
    with pytest.raises(ConfigError, match=r"token_width is .*; it must be a whole number from 1 to 1,000,000"):
        FilterTokenizer(width)  # type: ignore[arg-type]


def test_a_width_that_makes_too_many_tokens_is_refused_at_once() -> None:
    spec = ParameterSpec(
        TargetArchitecture("large", lambda count: nn.Sequential(nn.Linear(3000, 3000), nn.Linear(1, count, bias=False)))
    )
    started = time.process_time()
    with pytest.raises(ConfigError, match=r"token_width=1 cuts .* into 9,003,\d+ tokens, but at most 1,000,000 are"):
        FilterTokenizer(1).layout(spec, 10, 10)
    assert time.process_time() - started < 3
