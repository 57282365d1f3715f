from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.denoiser.forecast import PooledForecast, num_features
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

E, R, M, MAX = 12, 5, 3, 6
SPEC = ParameterSpec(cnn_2layer)


def layout_of(classes: int) -> TokenLayout:
    return ClassRowTokenizer().layout(SPEC, classes, MAX)


def forecast(shapes: tuple[tuple[int, int], ...] = ((2, 4), (6, 3)), moments: int = M) -> PooledForecast:
    """Groups of (positions, width); the last is the class group. Every parameter is random."""
    torch.manual_seed(0)
    sizes, widths = zip(*shapes, strict=True)
    module = PooledForecast(E, R, moments, widths, sizes, len(shapes) - 1, 4)
    module.reset_parameters()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def conditions(batch: int = 2, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, classes, dtype=torch.bool)
    return torch.randn(batch, classes, E, generator=generator), mask


def test_features_are_the_first_two_moments() -> None:
    module = forecast()
    condition, mask = conditions()
    features = module.features(condition, mask)
    assert features.shape == (2, num_features(R, M)) == (2, 5 + 6)
    projected = condition @ module.directions.T
    torch.testing.assert_close(features[:, :R], projected.sum(1) / math.sqrt(4))
    pairs = [(i, j) for i in range(M) for j in range(i, M)]
    for number, (i, j) in enumerate(pairs):
        wanted = (projected[..., i] * projected[..., j]).sum(1) / math.sqrt(4)
        torch.testing.assert_close(features[:, R + number], wanted)


@pytest.mark.parametrize("moments", [0, M])
def test_order_and_padding_do_not_matter(moments: int) -> None:
    module = forecast(moments=moments)
    condition, mask = conditions()
    out = module(condition, mask)
    torch.testing.assert_close(module(condition.flip(1), mask), out)
    garbage = torch.cat([condition, torch.full((2, 2, E), 9.0)], dim=1)
    padded = torch.cat([mask, torch.zeros(2, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(module(garbage, padded), out)


def test_each_shared_position_has_its_own_map_and_class_rows_have_none() -> None:
    module = forecast()
    out = module(*conditions())
    assert out.shape == (2, 2 + 6, 4)
    assert not torch.allclose(out[:, 0], out[:, 1])
    assert not out[:, 2:].any()


def denoiser(**overrides) -> Denoiser:
    torch.manual_seed(0)
    layout = layout_of(MAX)
    settings = {"pool_rank": R, "pool_moments": M} | overrides
    return Denoiser(build_config("tiny", condition_dim=E, layout=layout, max_classes=MAX, **settings)).eval()


@pytest.mark.parametrize("classes", [2, MAX])
def test_the_denoiser_adds_the_forecast_to_every_shared_token(classes: int) -> None:
    model, layout = denoiser(), layout_of(classes)
    condition, mask = conditions(classes=classes)
    tokens = torch.zeros(2, layout.num_tokens, layout.token_width)
    t = torch.tensor([999, 3])
    assert not model(condition, mask, tokens, t, layout).any()
    with torch.no_grad():
        model.pooled.shared.bias.fill_(2.0)
    out = model(condition, mask, tokens, t, layout)
    shared = layout.element_mask(mask) & (layout.token_class < 0)[:, None]
    assert torch.equal(out != 0, shared)
    assert set(out[shared].tolist()) == {2.0}


def test_selecting_rows_of_the_batch() -> None:
    model = denoiser()
    encoded = model.encode(*conditions())
    picked = encoded.select(torch.tensor([1, 1, 0]))
    assert torch.equal(picked.pooled_BQD, encoded.pooled_BQD[[1, 1, 0]])
    assert torch.equal(picked.hidden_BKH, encoded.hidden_BKH[[1, 1, 0]])
    assert denoiser(pool_rank=0, pool_moments=0).encode(*conditions()).select(torch.tensor([0])).pooled_BQD is None


def test_directions_are_set_from_outside() -> None:
    model = denoiser()
    wanted = torch.randn(R, E)
    model.init_pool(wanted)
    assert torch.equal(model.pooled.directions, wanted)
    with pytest.raises(ConfigError, match=r"directions of shape \(5, 12\), not \(4, 12\)"):
        model.init_pool(wanted[:4])
    with pytest.raises(ConfigError, match="pool_rank above 0"):
        denoiser(pool_rank=0, pool_moments=0).init_pool(wanted)


def test_a_network_of_class_rows_alone_has_none() -> None:
    linear = TargetArchitecture(
        name="linear", build=lambda k: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, k))
    )
    layout = ClassRowTokenizer().layout(ParameterSpec(linear), 4, MAX)
    assert build_config("small", condition_dim=E, layout=layout, max_classes=MAX).pool_rank == 0
    with pytest.raises(ConfigError, match="only class rows"):
        build_config("tiny", condition_dim=E, layout=layout, max_classes=MAX, pool_rank=R)


def test_what_softmax_does_not_see_is_not_forecast() -> None:
    """A shift common to all class rows would get a gradient of rounding noise alone."""
    model, layout = denoiser(), layout_of(MAX)
    condition, mask = conditions(classes=MAX)
    assert not model.encode(condition, mask).pooled_BQD[:, layout.group_sizes[0] + layout.group_sizes[1] :].any()
    assert [name for name, _ in model.pooled.named_parameters()] == ["directions", "shared.weight", "shared.bias"]
