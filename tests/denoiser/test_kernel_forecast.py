from __future__ import annotations

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.denoiser.kernel_forecast import KernelForecast, kernel_ridge, kernel_values
from tina_framework.denoiser.presets import build_config, count_parameters
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec

E, S, D, MAX = 12, 7, 33, 6
SPEC = ParameterSpec(cnn_2layer)
LAYOUT = ClassRowTokenizer().layout(SPEC, MAX, MAX)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def denoiser(**overrides) -> Denoiser:
    torch.manual_seed(0)
    settings = {"num_landmarks": S, **overrides}
    return Denoiser(build_config("tiny", condition_dim=E, layout=LAYOUT, max_classes=MAX, **settings))


def test_kernel_is_one_for_the_same_direction_and_falls_with_the_angle() -> None:
    x = random(3, E)
    values = kernel_values(torch.cat([x, -x]), 5 * x, 2.0)
    torch.testing.assert_close(values[:3].diagonal(), torch.ones(3))
    torch.testing.assert_close(values[3:].diagonal(), torch.full((3,), -4.0).exp())


def test_small_penalty_reproduces_the_rows_and_a_large_one_shrinks_them() -> None:
    landmarks, rows = random(S, E), random(S, D, seed=1)
    module = KernelForecast(E, S, D, sharpness=2.0)
    module.landmarks.data.copy_(landmarks)
    for penalty, bound in ((1e-6, 1e-3), (1e6, 1.0)):
        module.coefficients.data.copy_(kernel_ridge(landmarks, rows, 2.0, penalty))
        error = (module(landmarks) - rows).abs().max()
        assert bool(error < bound) is (penalty < 1)
    assert module(landmarks).abs().max() < 1e-4


def test_closed_form_minimises_the_penalised_error() -> None:
    landmarks, rows = random(S, E).double(), random(S, D, seed=1).double()
    best = kernel_ridge(landmarks, rows, 2.0, 0.3).double()
    kernel = kernel_values(landmarks, landmarks, 2.0)

    def loss(a: torch.Tensor) -> torch.Tensor:
        return (rows - kernel @ a).square().sum() + 0.3 * (a * (kernel @ a)).sum()

    for seed in range(5):
        assert loss(best) < loss(best + 1e-2 * random(S, D, seed=seed).double())


def test_denoiser_adds_the_forecast_to_the_class_rows_alone() -> None:
    model = denoiser(skip=False)
    landmarks, coefficients = random(S, E), random(S, model.config.group_widths[model.config.class_group], seed=1)
    model.init_kernel(landmarks, coefficients)
    condition, mask = random(1, MAX, E, seed=2), torch.ones(1, MAX, dtype=torch.bool)
    tokens = torch.zeros(1, *LAYOUT.source.shape)
    out = model(condition, mask, tokens, torch.tensor(3), LAYOUT)
    rows = kernel_values(condition, landmarks, model.config.kernel_sharpness) @ coefficients
    for token, owner in enumerate(LAYOUT.token_class.tolist()):
        width = coefficients.shape[1] if owner >= 0 else 0
        expected = torch.zeros_like(out[0, token])
        if owner >= 0:
            expected[:width] = rows[0, owner]
        torch.testing.assert_close(out[0, token], expected)


def test_skip_and_kernel_are_summed() -> None:
    model = denoiser(skip=True)
    width = model.config.group_widths[model.config.class_group]
    model.init_skip(random(width, E), random(width, seed=3))
    condition, mask = random(1, 2, E, seed=2), torch.tensor([[True, False]])
    alone = model.encode(condition, mask).skip_BKD
    model.init_kernel(random(S, E), random(S, width, seed=1))
    both = model.encode(condition, mask).skip_BKD
    assert not torch.allclose(alone[0, 0], both[0, 0])
    assert not both[0, 1].any()


def test_parameters_are_counted_and_start_at_zero() -> None:
    model = denoiser()
    assert sum(p.numel() for p in model.parameters()) == count_parameters(model.config)
    tokens, mask = torch.zeros(1, *LAYOUT.source.shape), torch.ones(1, MAX, dtype=torch.bool)
    assert not model(random(1, MAX, E), mask, tokens, torch.tensor(0), LAYOUT).any()


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="given_row"):
        denoiser(given_row=True)
    with pytest.raises(ConfigError, match="kernel_sharpness=0"):
        denoiser(kernel_sharpness=0)
    with pytest.raises(ConfigError, match="no kernel forecast"):
        denoiser(num_landmarks=0).init_kernel(random(S, E), random(S, D))
    with pytest.raises(ConfigError, match="landmarks and coefficients of shapes"):
        denoiser().init_kernel(random(S, E + 1), random(S, D))
