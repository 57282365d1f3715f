"""The denoiser's initial weights: drawn from the seed, its forecasts started from what the generic model knows.

Shapes: N rows, R directions, D row width, E condition width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.tokenizer import ParameterTokenizer, TokenLayout
from tina_framework.training.objective_context import ObjectiveContext

__all__ = ["build_denoiser", "principal_directions", "ridge_regression"]


def build_denoiser(
    config: TrainingConfig,
    layout: TokenLayout,
    tokenizer: ParameterTokenizer,
    context: ObjectiveContext,
    generic: Mapping[str, Tensor],
    seen: Sequence[str],
) -> Denoiser:
    names = (
        "hidden_size",
        "num_encoder_layers",
        "num_decoder_layers",
        "num_attention_heads",
        "pool_rank",
        "pool_moments",
    )
    overrides = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    templates = context.conditions.unit_VKE.shape[0]
    rows = (
        class_rows(layout, tokenizer, context, generic, seen)
        if config.retrieve_rows or config.ridge is not None
        else None
    )
    if config.retrieve_rows:
        if rows is None or len(seen) <= config.max_classes:
            raise ConfigError(
                f"retrieve_rows needs a tokenizer with class rows and more than max_classes={config.max_classes} classes to learn from, "
                f"but '{tokenizer.name}' is used on {len(seen)}; set retrieve_rows to false."
            )
        context.conditions.enable_row_retrieval(seen, rows)
    inputs = torch.cat([context.conditions.of(seen, template) for template in range(templates)])
    inputs = inputs[:, : context.conditions.space.condition_dim]
    sizes = build_config(
        config.preset,
        condition_dim=context.conditions.space.condition_dim,
        layout=layout,
        max_classes=config.max_classes,
        # The skip forecasts x0; added to a prediction of noise or velocity it would only be in the way.
        skip=None if config.prediction_type == "sample" else False,
        dropout=config.dropout,
        given_row=context.conditions.space.row_retrieval is not None,
        **overrides,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        denoiser = Denoiser(sizes)
    # Where rows are given, the skip only adds to them.
    if sizes.skip and not sizes.given_row and config.ridge is not None and rows is not None:
        denoiser.init_skip(*ridge_regression(inputs, rows.repeat(templates, 1), config.ridge))
    if denoiser.pooled is not None:
        denoiser.init_pool(principal_directions(inputs, denoiser.pooled.directions.detach()))
    return denoiser


def class_rows(
    layout: TokenLayout,
    tokenizer: ParameterTokenizer,
    context: ObjectiveContext,
    generic: Mapping[str, Tensor],
    seen: Sequence[str],
) -> Tensor | None:
    """(S, D) the generic model's rows of the classes `seen`, as normalised tokens; None where no token is a class's."""
    groups = set(layout.group[layout.token_class >= 0].tolist())
    if len(groups) != 1:
        return None
    whole = tokenizer.layout(context.spec, len(seen), max(len(seen), context.config.max_classes))
    normalized = context.normalizer.normalize(context.spec.flatten(generic, len(seen)), len(seen))
    rows = whole.gather(normalized[None])[0][whole.token_class >= 0]
    return rows[torch.argsort(whole.token_class[whole.token_class >= 0]), : layout.group_widths[groups.pop()]]


def principal_directions(inputs_NE: Tensor, others_RE: Tensor) -> Tensor:
    """(R, E): the directions in which the inputs vary most, scaled so that each projection has unit variance.

    Args:
        inputs_NE: conditions.
        others_RE: what stands in for directions in which the inputs do not vary at all.
    """
    x = inputs_NE.double() - inputs_NE.double().mean(0)
    _, singular, directions = torch.linalg.svd(x, full_matrices=False)
    deviations = singular / len(x) ** 0.5
    known = min(len(others_RE), int((deviations > 1e-6 * deviations[0]).sum()))
    principal = (directions[:known] / deviations[:known, None]).float()
    return torch.cat([principal, others_RE[known:]])


def ridge_regression(inputs_NE: Tensor, targets_ND: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Ridge regression with intercept: weight (D, E) and bias (D,).

    Args:
        inputs_NE: conditions.
        targets_ND: rows.
        strength: of the penalty, relative to the mean variance of an input (trace / E).
    """
    x, y = inputs_NE.double(), targets_ND.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x
    penalty = strength * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + penalty, x.T @ y).T
    return weight.float(), (y_mean - weight @ x_mean).float()
