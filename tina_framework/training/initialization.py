"""Initial weights of the denoiser: random, except for linear parts that start from the generic model.

Shapes: N examples, S seen classes, R directions, D width of a class row, E condition width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tina_framework.denoiser.kernel_forecast import kernel_ridge
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.interfaces.tokenizer import ParameterTokenizer
from tina_framework.training.objective_context import ObjectiveContext

__all__ = ["build_denoiser", "fit_row_forecast", "principal_directions", "ridge_regression"]


_OVERRIDES = (
    "hidden_size",
    "num_encoder_layers",
    "num_decoder_layers",
    "num_attention_heads",
    "pool_rank",
    "pool_moments",
    "forecast_width",
    "output_width",
    "skip_width",
)


def build_denoiser(
    context: ObjectiveContext, tokenizer: ParameterTokenizer, generic: Mapping[str, Tensor], seen: Sequence[str]
) -> Denoiser:
    """Build the denoiser with initial weights that follow from the seed.

    With `retrieve_rows` this also enables row retrieval in `context.conditions`.

    Args:
        context: settings, layout, normalizer and conditioning vectors.
        tokenizer: the tokenizer of `context.layout`.
        generic: parameters of the generic model, with S classes.
        seen: the names of these classes.

    Raises:
        ConfigError: `retrieve_rows` or `kernel_ridge` is impossible with this tokenizer or this number of classes.
    """
    config, conditions = context.config, context.conditions
    overrides = {name: getattr(config, name) for name in _OVERRIDES if getattr(config, name) is not None}
    templates = conditions.unit_VKE.shape[0]
    uses_kernel = config.kernel_ridge is not None
    needs_rows = config.retrieve_rows or config.ridge is not None or uses_kernel
    rows = class_rows(context, tokenizer, generic, seen) if needs_rows else None
    if config.retrieve_rows:
        if rows is None or len(seen) <= config.max_classes:
            raise ConfigError(
                f"retrieve_rows needs a tokenizer with class rows and more than max_classes={config.max_classes} classes. "
                f"Here the tokenizer is '{tokenizer.name}' and there are {len(seen)} classes. Set retrieve_rows to false."
            )
        conditions.enable_row_retrieval(seen, rows)
    inputs = torch.cat([conditions.of(seen, template) for template in range(templates)])
    # `conditions.of` appends retrieved rows. The linear parts do not read them, so they are cut off here.
    inputs = inputs[:, : conditions.space.condition_dim]
    if uses_kernel:
        if rows is None:
            raise ConfigError(
                f"kernel_ridge needs a tokenizer with class rows, and '{tokenizer.name}' has none. Set kernel_ridge to none."
            )
        overrides |= {"num_landmarks": len(seen), "kernel_sharpness": config.kernel_sharpness}
    sizes = build_config(
        config.preset,
        condition_dim=conditions.space.condition_dim,
        layout=context.layout,
        max_classes=config.max_classes,
        # The skip connection predicts x0, which must not be added to a prediction of noise or velocity.
        skip=None if config.prediction_type == "sample" else False,
        dropout=config.dropout,
        input_floor=config.input_floor,
        given_row=conditions.space.row_retrieval is not None,
        **overrides,
    )
    # The global random state is left as it was, so that building a denoiser does not change other draws.
    with seeded_random_state(config.seed):
        denoiser = Denoiser(sizes)
    # With retrieved rows or a kernel forecast the skip connection starts at zero, because these rows are added to its output.
    # Described tokens have a row forecast of their own for each architecture.
    has_rows = sizes.given_row or uses_kernel or bool(sizes.descriptor_size)
    if sizes.skip and not has_rows and config.ridge is not None and rows is not None:
        denoiser.init_skip(*ridge_regression(inputs, rows.repeat(templates, 1), config.ridge))
    if config.kernel_ridge is not None and rows is not None:
        # The first template alone, so that landmark i is the class i.
        landmarks = inputs[: len(seen)]
        coefficients = kernel_ridge(landmarks, rows, config.kernel_sharpness, config.kernel_ridge)
        denoiser.init_kernel(landmarks, coefficients)
    if denoiser.pooled is not None:
        denoiser.init_pool(principal_directions(inputs, denoiser.pooled.directions.detach()))
    return denoiser


def fit_row_forecast(
    context: ObjectiveContext, tokenizer: ParameterTokenizer, generic: Mapping[str, Tensor], seen: Sequence[str]
) -> RowForecast | None:
    """Return the row forecast of an architecture whose tokens are described, else None.

    It is the ridge regression that initialises the skip of a denoiser for one architecture. With the setting `ridge` none, it
    forecasts the average row.

    Args:
        context: settings, layout, normalizer and conditioning vectors.
        tokenizer: the tokenizer of `context.layout`.
        generic: parameters of the generic model, with S classes.
        seen: the names of these classes.
    """
    config, conditions = context.config, context.conditions
    if context.layout.descriptors is None:
        return None
    rows = class_rows(context, tokenizer, generic, seen)
    assert rows is not None  # every tokenizer with descriptors has class rows
    rows = rows[:, : context.spec.class_size]
    if config.ridge is None:
        return RowForecast(torch.zeros(rows.shape[1], conditions.space.condition_dim), torch.zeros(rows.shape[1]))
    templates = conditions.unit_VKE.shape[0]
    inputs = torch.cat([conditions.of(seen, template) for template in range(templates)])
    return RowForecast(*ridge_regression(inputs, rows.repeat(templates, 1), config.ridge))


def class_rows(
    context: ObjectiveContext, tokenizer: ParameterTokenizer, generic: Mapping[str, Tensor], seen: Sequence[str]
) -> Tensor | None:
    """Return (S, D) rows of the generic model for the classes `seen`, as normalised tokens.

    Returns None unless the tokenizer puts the row of each class into one token of its own.
    """
    layout = context.layout
    groups = set(layout.group[layout.token_class >= 0].tolist())
    if len(groups) != 1:
        return None
    whole = tokenizer.layout(context.spec, len(seen), max(len(seen), context.config.max_classes))
    normalized = context.normalizer.normalize(context.spec.flatten(generic, len(seen)), len(seen))
    rows = whole.gather(normalized[None])[0][whole.token_class >= 0]
    return rows[torch.argsort(whole.token_class[whole.token_class >= 0]), : layout.group_widths[groups.pop()]]


def principal_directions(inputs_NE: Tensor, others_RE: Tensor) -> Tensor:
    """Return (R, E) principal directions of the inputs, scaled so that each projection has unit variance.

    Args:
        inputs_NE: conditioning vectors.
        others_RE: R fallback directions. If the inputs vary in fewer than R directions, the last of these fill up the
            result, unscaled.
    """
    x = inputs_NE.double() - inputs_NE.double().mean(0)
    _, singular, directions = torch.linalg.svd(x, full_matrices=False)
    deviations = singular / len(x) ** 0.5
    known = min(len(others_RE), int((deviations > 1e-6 * deviations[0]).sum()))
    principal = (directions[:known] / deviations[:known, None]).float()
    return torch.cat([principal, others_RE[known:]])


def ridge_regression(inputs_NE: Tensor, targets_ND: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Fit a ridge regression with intercept: W = Y^T X (X^T X + lambda I)^-1 for centred X and Y.

    Args:
        inputs_NE: conditioning vectors X.
        targets_ND: class rows Y.
        strength: lambda, relative to the mean of the diagonal of X^T X.

    Returns:
        The weight (D, E) and the bias (D,).
    """
    x, y = inputs_NE.double(), targets_ND.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x
    penalty = strength * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + penalty, x.T @ y).T
    return weight.float(), (y_mean - weight @ x_mean).float()
