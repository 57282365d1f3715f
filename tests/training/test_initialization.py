from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError
from tina_framework.training.components import build_components
from tina_framework.training.initialization import principal_directions, ridge_regression

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_ridge_regression_solves_the_penalised_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    x, true = torch.randn(30, 5, generator=generator), torch.randn(3, 5, generator=generator)
    y = x @ true.T + 2.0
    weight, bias = ridge_regression(x, y, 1e-9)
    torch.testing.assert_close(weight, true, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bias, torch.full((3,), 2.0), atol=1e-4, rtol=1e-4)
    strong, centre = ridge_regression(x, y, 1e9)
    torch.testing.assert_close(strong, torch.zeros(3, 5), atol=1e-4, rtol=0)
    torch.testing.assert_close(centre, y.mean(0))


def test_an_untrained_denoiser_says_what_the_ridge_says(make_config: Make) -> None:
    components = build_components(make_config(ridge=1e-6), CPU)
    seen, context = components.seen_classes, components.context
    classes = seen[:4]
    condition = context.pad_conditions([context.conditions.of(classes)])
    mask = context.class_mask(torch.tensor([4]))
    with torch.no_grad():
        tokens = components.denoiser(condition, mask, context.noise("x", 0, [0]), torch.tensor([999]), context.layout)
    flat = context.normalizer.denormalize(context.layout.scatter(tokens), 4)[0]
    state = components.spec.unflatten(flat, 4)
    # 24 vectors, 16 dimensions: close to the generic rows, and exactly the generic convolutions.
    torch.testing.assert_close(state["conv2.weight"], components.generic["conv2.weight"])
    rows = components.generic["fc.weight"]
    assert float((state["fc.weight"] - rows[:4]).square().mean()) < 0.5 * float((rows - rows.mean(0)).square().mean())


def test_an_untrained_denoiser_says_what_the_kernel_says(make_config: Make) -> None:
    components = build_components(make_config(kernel_ridge=1e-6, open_vocabulary=True), CPU)
    seen, context, sizes = components.seen_classes, components.context, components.denoiser.config
    assert sizes.num_landmarks == len(seen)
    condition = context.pad_conditions([context.conditions.of(seen[:4])])
    mask = context.class_mask(torch.tensor([4]))
    with torch.no_grad():
        tokens = components.denoiser(condition, mask, context.noise("x", 0, [0]), torch.tensor([999]), context.layout)
    flat = context.normalizer.denormalize(context.layout.scatter(tokens), 4)[0]
    state = components.spec.unflatten(flat, 4)
    # With almost no penalty, known classes get their own rows.
    torch.testing.assert_close(state["fc.weight"], components.generic["fc.weight"][:4], atol=1e-3, rtol=0)
    torch.testing.assert_close(state["conv2.weight"], components.generic["conv2.weight"])


def test_principal_directions_whiten_what_varies_and_keep_the_rest() -> None:
    generator = torch.Generator().manual_seed(0)
    # Six dimensions, of which the inputs use three.
    x = torch.randn(40, 3, generator=generator) @ torch.randn(3, 6, generator=generator) + 5.0
    others = torch.full((5, 6), 7.0)
    directions = principal_directions(x, others)
    projected = (x - x.mean(0)) @ directions[:3].T
    torch.testing.assert_close(projected.T @ projected / 40, torch.eye(3), atol=1e-4, rtol=1e-4)
    assert torch.equal(directions[3:], others[3:])
    torch.testing.assert_close(principal_directions(x, others[:2]), directions[:2])


def test_the_pooled_forecast_starts_at_principal_directions_and_says_nothing(make_config: Make) -> None:
    components = build_components(make_config(pool_rank=6, pool_moments=2), CPU)
    pooled, seen = components.denoiser.pooled, components.seen_classes
    assert pooled is not None
    vectors = torch.cat([components.context.conditions.of(seen, template) for template in range(2)])
    projected = vectors @ pooled.directions.detach().T
    torch.testing.assert_close(projected.std(0, correction=0), torch.ones(6), atol=1e-3, rtol=1e-3)
    condition = components.context.pad_conditions([components.context.conditions.of(seen[:4])])
    mask = components.context.class_mask(torch.tensor([4]))
    assert not pooled(condition, mask).any()
    assert build_components(make_config(), CPU).denoiser.pooled is None


def test_without_ridge_the_skip_starts_at_zero(make_config: Make) -> None:
    denoiser = build_components(make_config(ridge="none"), CPU).denoiser
    assert denoiser.skip is not None
    assert not denoiser.skip.weight.any()


def test_skip_only_where_x0_is_predicted(make_config: Make) -> None:
    assert build_components(make_config(prediction_type="epsilon"), CPU).denoiser.skip is None
    assert build_components(make_config(tokenizer="chunk"), CPU).denoiser.skip is None


def test_the_seed_fixes_the_weights_and_leaves_the_global_generator_alone(make_config: Make) -> None:
    before = torch.get_rng_state()
    one, same, other = (build_components(make_config(seed=seed), CPU).denoiser.state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["condition.weight"], other["condition.weight"])


def test_overrides_of_the_preset(make_config: Make) -> None:
    sizes = build_components(make_config(hidden_size=32, num_decoder_layers=2, dropout=0.1), CPU).denoiser.config
    assert (sizes.hidden_size, sizes.num_decoder_layers, sizes.num_encoder_layers, sizes.dropout) == (32, 2, 1, 0.1)


def test_with_retrieved_rows_an_untrained_denoiser_repeats_the_generic_rows(make_config: Make) -> None:
    components = build_components(make_config(retrieve_rows=True, max_classes=4, class_counts="4:1"), CPU)
    seen, context = components.seen_classes, components.context
    conditions = context.conditions.of(seen[:4])
    assert conditions.shape[1] == context.conditions.width == components.denoiser.config.input_dim
    condition = context.pad_conditions([conditions])
    mask = context.class_mask(torch.tensor([len(conditions)]))
    with torch.no_grad():
        tokens = components.denoiser(condition, mask, context.noise("x", 0, [0]), torch.tensor([999]), context.layout)
    flat = context.normalizer.denormalize(context.layout.scatter(tokens), 4)[0]
    state = components.spec.unflatten(flat, 4)
    rows = components.generic["fc.weight"]
    # Two templates a class, so no condition is exactly a key.
    assert float((state["fc.weight"] - rows[:4]).square().mean()) < 0.2 * float((rows - rows.mean(0)).square().mean())


def test_row_retrieval_needs_more_classes_than_a_task_has(make_config: Make) -> None:
    with pytest.raises(ConfigError, match="retrieve_rows needs"):
        build_components(make_config(retrieve_rows=True, max_classes=30), CPU)
