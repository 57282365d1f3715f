"""The denoiser: a diffusion transformer over parameter tokens that reads one conditioning vector for each class.

Shapes: B batch, P tokens, D token width, K classes, E width of a conditioning vector, H hidden, Q positions of all token groups.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.denoiser.blocks import BlockStack, init_linear
from tina_framework.denoiser.described import DescribedForecast, DescribedLinear, DescribedProjection
from tina_framework.denoiser.embeddings import GroupProjection, LayoutIndex, TimestepEmbedding, layout_index
from tina_framework.denoiser.forecast import PooledForecast
from tina_framework.denoiser.kernel_forecast import KernelForecast
from tina_framework.denoiser.presets import DenoiserConfig
from tina_framework.errors import ConfigError
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["Denoiser", "EncodedClasses"]


class EncodedClasses(NamedTuple):
    """The output of the encoder: what the decoder reads of the classes. It is computed once per prompt and used at every step.

    Attributes:
        hidden_BKH: (B, K, H) class vectors, zero in padded slots.
        skip_BKD: (B, K, D) forecast of each class row from its conditioning vector alone, as tokens: the skip, the kernel
            forecast, or their sum; None without both.
        pooled_BQD: (B, Q, D) linear forecast of the shared tokens, zero for class rows; None without a pooled forecast.
        given_BKD: (B, K, D) retrieved class rows; None without `DenoiserConfig.given_row`.
        prediction_weight_BK: (B, K) factor of each class's prediction, 1 - novelty, in [0, 1]; None: 1 for all.
        mixtures_B1M: (B, 1, M) what the pooled forecast of described tokens reads of the class set; None without descriptors.
        rows_BKM: (B, K, M) what the skip of described tokens reads of each class; None without descriptors.
    """

    hidden_BKH: Tensor
    skip_BKD: Tensor | None = None
    pooled_BQD: Tensor | None = None
    given_BKD: Tensor | None = None
    prediction_weight_BK: Tensor | None = None
    mixtures_B1M: Tensor | None = None
    rows_BKM: Tensor | None = None

    def select(self, indices: Tensor) -> EncodedClasses:
        """Return some rows of the batch: (B',) indices, which may repeat."""
        rest = (None if tensor is None else tensor[indices] for tensor in self[1:])
        return EncodedClasses(self.hidden_BKH[indices], *rest)


class Denoiser(nn.Module):
    """Predicts clean tokens from noisy ones, or noise or velocity, depending on its training.

    The encoder is self-attention over the classes. The decoder is self-attention over one timestep token, the K class
    vectors and the P parameter tokens; class vector i is also added to the tokens of class i. The output projections and
    the skip start at zero, so an untrained denoiser returns exactly zero.

    With an equivariant layout, permuting the classes permutes the output and changes nothing else, up to rounding.
    Padded classes, tokens and elements have no influence, and their output is zero.

    Args:
        config: sizes; see `tina_framework.denoiser.presets`.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        block = (hidden, config.num_attention_heads, config.mlp_ratio, config.dropout)
        self.condition = nn.Linear(config.condition_dim, hidden)
        self.timestep = TimestepEmbedding(config.num_timestep_frequencies, hidden)
        self.tokens: GroupProjection | DescribedProjection
        if config.descriptor_size:
            self.tokens = DescribedProjection(
                config.descriptor_size, config.token_width, hidden, config.widths_of_maps[0], config.embedding_std
            )
        else:
            self.tokens = GroupProjection(
                config.group_widths, config.group_sizes, config.token_width, hidden, config.embedding_std
            )
        self.encoder = BlockStack(config.num_encoder_layers, *block)
        self.decoder = BlockStack(config.num_decoder_layers, *block)
        # With `chunk`, a token mixes classes, so the decoder must know the slot of each class vector.
        self.slot = None if config.equivariant else nn.Parameter(torch.empty(config.max_classes, hidden))
        self.skip = _skip(config) if config.skip else None
        self.kernel = (
            KernelForecast(
                config.condition_dim,
                config.num_landmarks,
                config.group_widths[config.class_group],
                config.kernel_sharpness,
            )
            if config.num_landmarks
            else None
        )
        self.pooled = _pooled_forecast(config) if config.pool_rank else None
        self._kept: tuple[TokenLayout, LayoutIndex] | None = None
        if (
            not self.condition.weight.is_meta
        ):  # without memory there is nothing to draw, and torch imports its compiler for it
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters again, from torch's default random number generator."""
        init_linear(self.condition)
        init_linear(self.timestep.projection)
        self.tokens.reset_parameters()
        self.encoder.reset_parameters()
        self.decoder.reset_parameters()
        if self.slot is not None:
            nn.init.normal_(self.slot, std=self.config.embedding_std)
        if isinstance(self.skip, DescribedLinear):
            self.skip.reset_parameters()
        elif self.skip is not None:
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)
        if self.kernel is not None:
            self.kernel.reset_parameters()
        if self.pooled is not None:
            self.pooled.reset_parameters()

    def init_skip(self, weight: Tensor, bias: Tensor) -> None:
        """Initialise the skip from a linear regression: class row = weight @ conditioning vector + bias.

        Args:
            weight: (width of a class row, E).
            bias: (width of a class row,).

        Raises:
            ConfigError: this denoiser has no skip, or the shapes do not fit.
        """
        if not isinstance(self.skip, nn.Linear):
            raise ConfigError(
                "This denoiser has no skip to initialise; build it with skip=True, and without descriptors."
            )
        expected = (tuple(self.skip.weight.shape), tuple(self.skip.bias.shape))
        if (tuple(weight.shape), tuple(bias.shape)) != expected:
            raise ConfigError(
                f"The skip needs weight and bias of shapes {expected[0]} and {expected[1]}, "
                f"not {tuple(weight.shape)} and {tuple(bias.shape)}."
            )
        with torch.no_grad():
            self.skip.weight.copy_(weight)
            self.skip.bias.copy_(bias)

    def init_kernel(self, landmarks_SE: Tensor, coefficients_SD: Tensor) -> None:
        """Initialise the kernel forecast, e.g. with the coefficients of `kernel_ridge`.

        Args:
            landmarks_SE: (num_landmarks, E) conditioning vectors of known classes.
            coefficients_SD: (num_landmarks, width of a class row).

        Raises:
            ConfigError: this denoiser has no kernel forecast, or the shapes do not fit.
        """
        if self.kernel is None:
            raise ConfigError(
                "This denoiser has no kernel forecast to initialise; build it with num_landmarks above 0."
            )
        expected = (tuple(self.kernel.landmarks.shape), tuple(self.kernel.coefficients.shape))
        if (tuple(landmarks_SE.shape), tuple(coefficients_SD.shape)) != expected:
            raise ConfigError(
                f"The kernel forecast needs landmarks and coefficients of shapes {expected[0]} and {expected[1]}, "
                f"not {tuple(landmarks_SE.shape)} and {tuple(coefficients_SD.shape)}."
            )
        with torch.no_grad():
            self.kernel.landmarks.copy_(landmarks_SE)
            self.kernel.coefficients.copy_(coefficients_SD)

    def init_pool(self, directions_RE: Tensor) -> None:
        """Initialise the directions of the pooled forecast, e.g. from principal components.

        Args:
            directions_RE: (pool_rank, E).

        Raises:
            ConfigError: this denoiser has no pooled forecast, or the shape does not fit.
        """
        if self.pooled is None:
            raise ConfigError("This denoiser has no pooled forecast to initialise; build it with pool_rank above 0.")
        expected = tuple(self.pooled.directions.shape)
        if tuple(directions_RE.shape) != expected:
            raise ConfigError(
                f"The pooled forecast needs directions of shape {expected}, not {tuple(directions_RE.shape)}."
            )
        with torch.no_grad():
            self.pooled.directions.copy_(directions_RE)

    def enable_checkpointing(self, enabled: bool = True) -> None:
        """Recompute blocks in the backward pass, which saves memory and takes time. Results do not change."""
        self.encoder.checkpointing = self.decoder.checkpointing = enabled

    def encode(self, condition_BKE: Tensor, class_mask_BK: Tensor | None = None) -> EncodedClasses:
        """Encode the classes, independent of the timestep.

        Args:
            condition_BKE: (B, K, E), or (B, K, E + width of a class row) with `DenoiserConfig.given_row`. Padded slots may
                hold any finite values.
            class_mask_BK: (B, K) bool, True for classes, False for padding; at least one class in every row. None: there is no
                padding, which is faster than a mask that is True everywhere.

        Raises:
            ConfigError: the shapes do not fit.
        """
        if condition_BKE.dim() != 3 or condition_BKE.shape[-1] != self.config.input_dim:
            raise ConfigError(
                f"Conditions have shape {tuple(condition_BKE.shape)}; "
                f"this denoiser needs (batch, classes, {self.config.input_dim})."
            )
        if class_mask_BK is not None and class_mask_BK.shape != condition_BKE.shape[:2]:
            raise ConfigError(
                f"The class mask has shape {tuple(class_mask_BK.shape)}; expected {tuple(condition_BKE.shape[:2])}."
            )

        def clear(values_BKX: Tensor) -> Tensor:
            """Set the padded slots to zero."""
            return values_BKX if class_mask_BK is None else values_BKX.masked_fill(~class_mask_BK[..., None], 0.0)

        condition_BKE, given_BKD = condition_BKE.split(
            [self.config.condition_dim, self.config.input_dim - self.config.condition_dim], dim=-1
        )
        condition = condition_BKE.to(self.condition.weight.dtype)
        given = prediction_weight = None
        if self.config.given_row:
            given = self._pad_to_token_width(clear(given_BKD.to(condition.dtype)))
            prediction_weight = clear(1.0 - condition[..., -1:])[..., 0]
        hidden = clear(self.encoder(self.condition(condition), class_mask_BK))
        rows = pooled = mixtures = row_mixtures = None
        # The forecasts carry much of the result and cost little, so they keep full precision under autocast.
        with torch.autocast(condition.device.type, enabled=False):
            plain = None if isinstance(self.skip, DescribedLinear) else self.skip
            forecasts = [part(condition) for part in (plain, self.kernel) if part is not None]
            if forecasts:
                rows = self._pad_to_token_width(clear(sum(forecasts[1:], forecasts[0])))
            if isinstance(self.skip, DescribedLinear):
                row_mixtures = clear(self.skip.mix(condition))
            if isinstance(self.pooled, DescribedForecast):
                mixtures = self.pooled.features(condition, class_mask_BK)
            elif self.pooled is not None:
                pooled = self.pooled(condition, class_mask_BK)
        return EncodedClasses(hidden, rows, pooled, given, prediction_weight, mixtures, row_mixtures)

    def _pad_to_token_width(self, rows_BKD: Tensor) -> Tensor:
        return F.pad(rows_BKD, (0, self.config.token_width - rows_BKD.shape[-1]))

    def denoise(
        self,
        tokens_BPD: Tensor,
        t_B: Tensor,
        encoded: EncodedClasses,
        layout: TokenLayout,
        class_mask_BK: Tensor | None = None,
    ) -> Tensor:
        """Predict once.

        Args:
            tokens_BPD: (B, P, D) noisy tokens, scaled by `model_input`.
            t_B: (B,) or a scalar: the scheduler's timestep, an integer or not.
            encoded: from `encode`, for the same batch and classes.
            layout: the token layout of K classes.
            class_mask_BK: (B, K) bool; None: every slot holds a class.

        Returns:
            (B, P, D) in the dtype of `tokens_BPD`; zero for elements that are no parameter of a class that exists.

        Raises:
            ConfigError: the shapes or the layout do not fit.
        """
        self._check_layout(layout, tokens_BPD, class_mask_BK)
        batch, count = tokens_BPD.shape[0], layout.num_classes
        index = self._index(layout, tokens_BPD.device)
        # Without padded classes, only gaps of the layout have to be masked, and most layouts have none.
        exists_BPD = None
        if class_mask_BK is not None:
            exists_BPD = index.element_mask(class_mask_BK)
        elif index.has_gaps:
            exists_BPD = index.real.expand(batch, -1, -1)
        noisy = tokens_BPD if exists_BPD is None else tokens_BPD.masked_fill(~exists_BPD, 0.0)

        classes_BKH = encoded.hidden_BKH
        if self.slot is not None:
            classes_BKH = classes_BKH + self.slot[:count]
        # Adding its class vector to a class's tokens ties each row to its class; attention alone has no order.
        sequence = torch.cat(
            [
                self.timestep(t_B.expand(batch))[:, None],
                classes_BKH,
                self.tokens.project_in(noisy.to(self.condition.weight.dtype), index)
                + _pick(classes_BKH, index.token_class),
            ],
            dim=1,
        )
        visible_BS = None
        if class_mask_BK is not None or index.has_empty_tokens:
            # The timestep is always visible; padded classes and empty tokens never are.
            exists = index.real.expand(batch, -1, -1) if exists_BPD is None else exists_BPD
            class_mask = exists.new_ones(batch, count) if class_mask_BK is None else class_mask_BK
            visible_BS = torch.cat([exists.new_ones(batch, 1), class_mask, exists.any(dim=-1)], dim=1)
        hidden_BPH = self.decoder(sequence, visible_BS, needed_from=1 + count)
        out = self.tokens.project_out(hidden_BPH, index, tokens_BPD.dtype, self._forecasts(encoded, index))
        if encoded.prediction_weight_BK is not None:
            # Shared tokens get the mean weight of the task's classes: their index is -1, the last column.
            total_B1 = encoded.prediction_weight_BK.sum(dim=1, keepdim=True)
            mean_B1 = total_B1 / (count if class_mask_BK is None else class_mask_BK.sum(dim=1, keepdim=True))
            of_token_BP = torch.cat(
                [encoded.prediction_weight_BK, mean_B1.to(encoded.prediction_weight_BK.dtype)], dim=1
            )[:, index.token_class]
            out = out * of_token_BP[..., None].to(out.dtype)
        if encoded.given_BKD is not None:
            rows = index.token_class.masked_fill(index.group != self.config.class_group, -1)
            out = out + _pick(encoded.given_BKD, rows).to(out.dtype)
        return out if exists_BPD is None else out.masked_fill(~exists_BPD, 0.0)

    def _forecasts(self, encoded: EncodedClasses, index: LayoutIndex) -> list[Tensor | None]:
        """Return what to add to the predicted tokens of each group: rows for the class group, the pooled forecast for the others."""
        if index.descriptors is not None:
            return self._described_forecasts(encoded, index)
        forecasts: list[Tensor | None] = []
        for group, width in enumerate(self.config.group_widths):
            if group == self.config.class_group:
                rows_BKD = encoded.skip_BKD
                forecasts.append(
                    None if rows_BKD is None else _pick(rows_BKD[..., :width], index.token_classes_of[group])
                )
            elif encoded.pooled_BQD is not None:
                forecasts.append(encoded.pooled_BQD[..., :width].index_select(1, index.positions_of[group]))
            else:
                forecasts.append(None)
        return forecasts

    def _described_forecasts(self, encoded: EncodedClasses, index: LayoutIndex) -> list[Tensor | None]:
        """Return the same for described tokens, whose forecasts depend on their descriptors."""
        forecasts: list[Tensor | None] = []
        with torch.autocast(encoded.hidden_BKH.device.type, enabled=False):  # full precision, as in `encode`
            for group, descriptors_PA in enumerate(index.descriptors_of):
                part: nn.Module | None
                if group == self.config.class_group:
                    part, mixed = self.skip, encoded.rows_BKM
                    mixed = None if mixed is None else _pick(mixed, index.token_classes_of[group])
                else:
                    part, mixed = self.pooled, encoded.mixtures_B1M
                has_one = isinstance(part, DescribedLinear) and mixed is not None
                forecasts.append(part(mixed, descriptors_PA) if part is not None and has_one else None)
        return forecasts

    def forward(
        self, condition_BKE: Tensor, class_mask_BK: Tensor, tokens_BPD: Tensor, t_B: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Call `encode` and `denoise`: (B, P, D). Training uses this, because wrappers such as DDP only hook `forward`."""
        return self.denoise(tokens_BPD, t_B, self.encode(condition_BKE, class_mask_BK), layout, class_mask_BK)

    def keep_layout(self, layout: TokenLayout, device: torch.device) -> None:
        """Keep the indices of a layout with this module. `torch.compile` cannot follow how they are looked up otherwise."""
        self._kept = layout, layout_index(layout, device)

    def _index(self, layout: TokenLayout, device: torch.device) -> LayoutIndex:
        if self._kept is not None and self._kept[0] is layout and self._kept[1].position.device == device:
            return self._kept[1]
        return layout_index(layout, device)

    def _check_layout(self, layout: TokenLayout, tokens_BPD: Tensor, class_mask_BK: Tensor | None) -> None:
        config = self.config
        expected = (config.group_widths, config.group_sizes, config.token_width, config.equivariant)
        if (layout.group_widths, layout.group_sizes, layout.token_width, layout.equivariant) != expected:
            raise ConfigError(
                f"The layout has token groups {layout.group_widths} of {layout.group_sizes} positions, but this denoiser was "
                f"built for {config.group_widths} of {config.group_sizes}; use the tokenizer and architecture that it was built for."
            )
        size = 0 if layout.descriptors is None else layout.descriptors.shape[1]
        if size != config.descriptor_size:
            raise ConfigError(
                f"The layout describes each token by {size} numbers, but this denoiser reads {config.descriptor_size}; use the "
                "tokenizer that it was built for."
            )
        if layout.num_classes > config.max_classes:
            raise ConfigError(
                f"{layout.num_classes} classes, but this denoiser was built for {config.max_classes} at most."
            )
        expected_mask = (tokens_BPD.shape[0], layout.num_classes)
        mask_shape = expected_mask if class_mask_BK is None else tuple(class_mask_BK.shape)
        if tokens_BPD.shape[1:] != layout.source.shape or mask_shape != expected_mask:
            raise ConfigError(
                f"Tokens of shape {tuple(tokens_BPD.shape)} and a class mask of shape {mask_shape} do not fit "
                f"a layout of {layout.num_tokens} tokens, {layout.token_width} wide, for {layout.num_classes} classes."
            )


def _skip(config: DenoiserConfig) -> nn.Linear | DescribedLinear:
    """Return the forecast of a class row from its conditioning vector."""
    if config.descriptor_size:
        return DescribedLinear(
            config.condition_dim, config.descriptor_size, config.widths_of_maps[1], config.token_width
        )
    return nn.Linear(config.condition_dim, config.group_widths[config.class_group])


def _pooled_forecast(config: DenoiserConfig) -> PooledForecast | DescribedForecast:
    """Return the forecast of shared tokens from the set of classes."""
    if config.descriptor_size:
        return DescribedForecast(
            config.condition_dim,
            config.pool_rank,
            config.pool_moments,
            config.descriptor_size,
            config.forecast_width,
            config.token_width,
        )
    return PooledForecast(
        config.condition_dim,
        config.pool_rank,
        config.pool_moments,
        config.group_widths,
        config.group_sizes,
        config.class_group,
        config.token_width,
    )


def _pick(values_BKX: Tensor, which_P: Tensor) -> Tensor:
    """(B, K, X) -> (B, P, X): the entry `which_P` for each token, zeros if it is -1."""
    zeros = torch.zeros_like(values_BKX[:, :1])
    return torch.cat([values_BKX, zeros], dim=1)[:, which_P]
