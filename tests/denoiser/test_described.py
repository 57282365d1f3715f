"""Described tokens: what an untrained denoiser says, what has no influence, and what learns."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.builtins.tokenizers.filter import FilterTokenizer
from tina_framework.denoiser.described import DescribedForecast, WaveFeatures
from tina_framework.denoiser.forecast import num_features
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

E, MAX = 24, 10
SPECS = {"one": ParameterSpec(cnn_2layer.at_width(0.5)), "other": ParameterSpec(cnn_3layer.at_width(0.5))}
BOTH = pytest.mark.parametrize("name", SPECS)


def layout_of(name: str, classes: int) -> TokenLayout:
    return FilterTokenizer(100).layout(SPECS[name], classes, MAX)


def make(*, trained: bool = True, **overrides) -> Denoiser:
    """A denoiser with a pooled forecast; `trained` gives every parameter a random value, zero heads included."""
    torch.manual_seed(0)
    settings = {"pool_rank": 6, "pool_moments": 3, "forecast_width": 32} | overrides
    config = build_config("tiny", condition_dim=E, layout=layout_of("one", MAX), max_classes=MAX, **settings)
    denoiser = Denoiser(config).eval()
    if trained:
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return denoiser


def inputs(layout: TokenLayout, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randn(2, layout.num_classes, E, generator=generator)
    tokens = torch.randn(2, layout.num_tokens, layout.token_width, generator=generator)
    return condition, torch.ones(2, layout.num_classes, dtype=torch.bool), tokens, torch.tensor([999.0, 3.5])


@BOTH
def test_untrained_gives_exactly_zero(name: str) -> None:
    layout = layout_of(name, MAX)
    condition, mask, tokens, t = inputs(layout)
    assert torch.equal(make(trained=False)(condition, mask, tokens, t, layout), torch.zeros_like(tokens))


@BOTH
@pytest.mark.parametrize("classes", [1, 3, 10])
def test_one_denoiser_writes_every_architecture_and_zeros_where_no_parameter_is(name: str, classes: int) -> None:
    denoiser, layout = make(), layout_of(name, classes)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    assert out.shape == tokens.shape
    assert torch.equal(out != 0, layout.element_mask(mask))
    assert torch.equal(denoiser.denoise(tokens, t, denoiser.encode(condition), layout), out)


@BOTH
def test_permuting_classes_permutes_class_rows_and_nothing_else(name: str) -> None:
    denoiser, layout = make(), layout_of(name, 10)
    condition, mask, tokens, t = inputs(layout)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    shared = layout.num_tokens - 10
    token_order = torch.cat([torch.arange(shared), shared + order])
    out = denoiser(condition, mask, tokens, t, layout)
    permuted = denoiser(condition[:, order], mask, tokens[:, token_order], t, layout)
    torch.testing.assert_close(permuted, out[:, token_order], atol=1e-5, rtol=1e-4)
    assert (permuted - out)[:, shared:].abs().max() > 0.1


@BOTH
def test_padded_classes_and_padding_of_tokens_change_nothing(name: str) -> None:
    denoiser, few, many = make(), layout_of(name, 4), layout_of(name, 10)
    condition, mask, tokens, t = inputs(few)
    alone = denoiser(condition, mask, tokens, t, few)
    garbage = torch.where(few.source >= 0, tokens, torch.full_like(tokens, 7.0))
    assert torch.equal(denoiser(condition, mask, garbage, t, few), alone)

    padded_mask = torch.zeros(2, 10, dtype=torch.bool)
    padded_mask[:, :4] = True
    padded_condition = torch.full((2, 10, E), 7.0)
    padded_condition[:, :4] = condition
    exists = many.element_mask(padded_mask)
    flat = torch.full((2, many.num_parameters), 7.0)
    keep = many.scatter(exists.float())[0] > 0
    flat[:, keep] = few.scatter(tokens)
    out = denoiser(padded_condition, padded_mask, many.gather(flat), t, many)
    assert not out[~exists].any()
    torch.testing.assert_close(many.scatter(out)[:, keep], few.scatter(alone), atol=1e-5, rtol=1e-4)


def test_the_description_decides_and_not_the_place_of_a_token() -> None:
    denoiser, layout = make(), layout_of("one", 4)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    order = torch.randperm(layout.num_tokens, generator=torch.Generator().manual_seed(2))
    per_token = ("source", "element_class", "group", "position", "token_class", "descriptors")
    shuffled = dataclasses.replace(layout, **{name: getattr(layout, name)[order] for name in per_token})
    again = denoiser(condition, mask, tokens[:, order], t, shuffled)
    torch.testing.assert_close(again, out[:, order], atol=1e-5, rtol=1e-4)
    # Two filters exchange their descriptions: only what is read of them changes hands.
    assert layout.descriptors is not None
    swapped = layout.descriptors.clone()
    swapped[[0, 1]] = layout.descriptors[[1, 0]]
    tokens[:, 1] = tokens[:, 0]
    other = dataclasses.replace(layout, descriptors=swapped)
    one, two = (denoiser(condition, mask, tokens, t, which) for which in (layout, other))
    assert (one[:, 0] - one[:, 1]).abs().max() > 1e-2
    torch.testing.assert_close(two[:, [1, 0]], one[:, [0, 1]], atol=1e-5, rtol=1e-4)


@BOTH
def test_everything_learns(name: str) -> None:
    denoiser, layout = make().train(), layout_of(name, 5)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    (out * torch.randn_like(out)).sum().backward()
    without = [n for n, p in denoiser.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert without == []


def test_from_the_start_every_output_learns() -> None:
    denoiser, layout = make(trained=False).train(), layout_of("one", 5)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    (out * torch.randn_like(out)).sum().backward()
    learns = {n for n, p in denoiser.named_parameters() if p.grad is not None and (p.grad != 0).any()}
    assert learns == {"tokens.out_of.elements.weight", "skip.elements.weight", "pooled.elements.weight"}
    # Every parameter has a gradient, even if zero: data-parallel training needs it.
    assert [n for n, p in denoiser.named_parameters() if p.grad is None] == []


def test_layouts_and_denoisers_that_do_not_fit_are_refused() -> None:
    layout = layout_of("one", 5)
    condition, mask, tokens, t = inputs(layout)
    without = dataclasses.replace(layout, descriptors=None)
    with pytest.raises(ConfigError, match="describes each token by 0 numbers, but this denoiser reads"):
        make()(condition, mask, tokens, t, without)
    plain = Denoiser(build_config("tiny", condition_dim=E, layout=without, max_classes=MAX, pool_rank=0))
    with pytest.raises(ConfigError, match="but this denoiser reads 0"):
        plain(condition, mask, tokens, t, layout)
    rows = ClassRowTokenizer().layout(SPECS["one"], 5, MAX)
    with pytest.raises(ConfigError, match="The layout has token groups"):
        make()(*inputs(rows), rows)


def forecast(moments: int = 3) -> DescribedForecast:
    torch.manual_seed(0)
    module = DescribedForecast(E, 6, moments, 9, 16, 5)
    module.reset_parameters()
    with torch.no_grad():
        module.elements.weight.normal_()
    return module


def test_the_forecast_is_a_linear_map_of_the_features_for_each_description() -> None:
    module, condition, descriptors = forecast(), torch.randn(3, 4, E), torch.randn(7, 9)
    mixtures = module.features(condition, None)
    assert mixtures.shape == (3, 1, 16)
    out = module(mixtures, descriptors)
    assert out.shape == (3, 7, 5)
    weights = math.sqrt(2) * torch.sin(
        descriptors @ module.weights.projection.weight.T + module.weights.projection.bias
    )
    for token in range(7):
        matrix = module.elements.weight @ torch.diag(weights[token])
        torch.testing.assert_close(out[:, token], mixtures[:, 0] @ matrix.T, atol=1e-5, rtol=1e-4)
    assert module.mixtures.in_features == num_features(6, 3)


@pytest.mark.parametrize("moments", [0, 3])
def test_order_and_padding_of_classes_do_not_matter(moments: int) -> None:
    module, condition, descriptors = forecast(moments), torch.randn(2, 4, E), torch.randn(3, 9)
    out = module(module.features(condition, None), descriptors)
    torch.testing.assert_close(module(module.features(condition.flip(1), None), descriptors), out)
    garbage = torch.cat([condition, torch.full((2, 2, E), 9.0)], dim=1)
    mask = torch.tensor([[True] * 4 + [False] * 2] * 2)
    torch.testing.assert_close(module(module.features(garbage, mask), descriptors), out)


def test_waves_of_other_descriptions_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    waves = WaveFeatures(30, 4096)
    waves.reset_parameters()
    descriptors = torch.randn(5, 30)
    descriptors[4] = descriptors[3] + 0.01 * torch.randn(30)
    found = waves(descriptors).detach()
    alike = found @ found.T / 4096
    torch.testing.assert_close(alike.diagonal(), torch.ones(5), atol=0.05, rtol=0)
    assert alike[3, 4] > 0.99
    assert alike[:4, :4].fill_diagonal_(0).abs().max() < 0.1


def test_without_a_forecast_nothing_is_mixed() -> None:
    denoiser, layout = make(pool_rank=0, pool_moments=0, forecast_width=0), layout_of("other", 3)
    condition, mask, tokens, t = inputs(layout)
    assert denoiser.pooled is None
    assert denoiser.encode(condition, mask).mixtures_B1M is None
    assert torch.equal(denoiser(condition, mask, tokens, t, layout) != 0, layout.element_mask(mask))


def test_tasks_that_share_an_encoding_get_their_own_forecast() -> None:
    denoiser, layout = make(), layout_of("one", 3)
    condition, mask, tokens, t = inputs(layout)
    encoded = denoiser.encode(condition, mask).select(torch.tensor([1, 0]))
    out = denoiser.denoise(tokens.flip(0), t.flip(0), encoded, layout, mask)
    torch.testing.assert_close(out.flip(0), denoiser(condition, mask, tokens, t, layout), atol=1e-5, rtol=1e-4)
