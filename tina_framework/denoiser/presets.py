"""The denoiser's settings, named sizes, and the formula for their number of parameters. This module needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, UnknownNameError, shorten
from tina_framework.plugin.suggest import did_you_mean

if TYPE_CHECKING:
    from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["PRESETS", "DenoiserConfig", "build_config", "count_parameters", "preset"]


MAX_CLASSES = 10_000
"""Maximum number of classes. The tokens of 10,000 classes take about 100 MB, and the memory of attention grows with their square."""

MAX_COUNT = 1_000_000
"""Upper bound of widths and counts that are not in `MAX_VALUES`."""

MAX_PARAMETERS = 10**11
"""Maximum number of parameters of a denoiser. Their float32 values take 400 GB."""

MAX_VALUES: Mapping[str, int] = MappingProxyType(
    {
        "max_classes": MAX_CLASSES,
        "hidden_size": 65_536,
        "num_encoder_layers": 512,
        "num_decoder_layers": 512,
        "num_attention_heads": 1024,
        "mlp_ratio": 64,
        "pool_rank": 10_000,
        "pool_moments": 1_000,
        "num_landmarks": 1_000_000,
        "forecast_width": 1_000_000,
        "output_width": 1_000_000,
        "skip_width": 1_000_000,
        "descriptor_size": 10_000,
    }
)
"""Setting -> its largest value. Without limits, a settings file of a few bytes could take hours or all memory."""


@dataclass(frozen=True)
class DenoiserConfig:
    """The settings of a denoiser, as plain JSON values.

    Attributes:
        condition_dim: E, width of a class's conditioning vector.
        group_widths: used token width of each token group (`TokenLayout.group_widths`).
        group_sizes: number of positions of each group at the largest class count (`TokenLayout.group_sizes`).
        token_width: D, at least every group width.
        max_classes: the largest class count.
        equivariant: whether the order of the classes has no influence. If not, each class slot has a learnt embedding.
        class_group: the token group of the class rows, where each token belongs to one class; -1 if there is none (`chunk`).
        skip: whether a linear map leads from the conditioning vector straight to the class row. Needs a class group.
        given_row: whether the input of a class carries two more things: as the last entry of the conditioning vector, the
            novelty of the class (0: known, 1: unlike every known class); after the vector, a retrieved class row. The
            output for the class row is retrieved row + (1 - novelty) * prediction. Shared tokens are scaled by 1 - the mean
            novelty of the task. Meant for ``prediction_type="sample"``.
        pool_rank: R, number of directions of the pooled forecast (`tina_framework.denoiser.forecast`); 0: no forecast.
            Needs a class group.
        pool_moments: M, how many of these directions also enter as products of pairs.
        num_landmarks: S, number of known classes that class rows are interpolated from
            (`tina_framework.denoiser.kernel_forecast`); 0: no interpolation. Needs a class group, and no `given_row`.
        kernel_sharpness: how quickly the influence of a landmark falls with its distance.
        hidden_size: H.
        num_encoder_layers: number of blocks over the classes, run once per prompt. 0: class vectors are linear projections.
        num_decoder_layers: number of blocks over timestep, class vectors and parameter tokens, run at every step.
        num_attention_heads: number of attention heads; divides H.
        mlp_ratio: width of the MLP over H.
        dropout: dropout rate of attention weights and both residual branches, in training.
        num_timestep_frequencies: F; the timestep is encoded as F sines and F cosines.
        embedding_std: initial standard deviation of position and slot embeddings. It is larger than
            GPT-2's 0.02, because they are added to projected noise of unit variance and must not drown in it.
        input_floor: least factor on noisy tokens, from 0 to 1; see `tina_framework.denoiser.preconditioning`. It says how
            the input must be scaled, and changes no layer.
        descriptor_size: A, length of the description of each token (`TokenLayout.descriptors`), which replaces group and
            position; 0: tokens have none. See `tina_framework.denoiser.described`.
        forecast_width: M, middle width of the pooled forecast of described tokens; 0 without descriptors or pooled forecast.
        output_width: middle width of the map from H to described tokens; 0: four times H. Needs descriptors.
        skip_width: middle width of the skip of described tokens; 0: four times H. Needs descriptors and a skip.

    Raises:
        ConfigError: a value is out of range or two do not fit together.
    """

    condition_dim: int
    group_widths: tuple[int, ...]
    group_sizes: tuple[int, ...]
    token_width: int
    max_classes: int
    equivariant: bool
    class_group: int = -1
    skip: bool = False
    given_row: bool = False
    pool_rank: int = 0
    pool_moments: int = 0
    num_landmarks: int = 0
    kernel_sharpness: float = 2.0
    hidden_size: int = 192
    num_encoder_layers: int = 2
    num_decoder_layers: int = 3
    num_attention_heads: int = 6
    mlp_ratio: int = 4
    dropout: float = 0.0
    num_timestep_frequencies: int = 128
    embedding_std: float = 0.5
    input_floor: float = 0.0
    descriptor_size: int = 0
    forecast_width: int = 0
    output_width: int = 0
    skip_width: int = 0

    def __post_init__(self) -> None:
        for name in ("group_widths", "group_sizes"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or not 0 < len(value) <= _MAX_GROUPS:
                raise ConfigError(f"Denoiser setting {name}={shorten(value)} is not a list of positive integers.")
            object.__setattr__(self, name, tuple(value))  # JSON has lists only
            for entry in getattr(self, name):
                _check_integer(name, entry, least=1)
        least = {"num_encoder_layers": 0, "class_group": -1, "pool_rank": 0, "pool_moments": 0}
        least |= dict.fromkeys(("num_landmarks", "descriptor_size", "forecast_width", "output_width", "skip_width"), 0)
        for field in dataclasses.fields(self):
            if field.type == "int":
                _check_integer(
                    field.name,
                    getattr(self, field.name),
                    least.get(field.name, 1),
                    MAX_VALUES.get(field.name, MAX_COUNT),
                )
            elif field.type == "bool" and not isinstance(getattr(self, field.name), bool):
                raise ConfigError(
                    f"Denoiser setting {field.name}={shorten(getattr(self, field.name))} is not true or false."
                )
        if not isinstance(self.dropout, int | float) or not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"Denoiser setting dropout={shorten(self.dropout)} lies outside 0 <= dropout < 1.")
        if not isinstance(self.embedding_std, int | float) or not 0.0 <= self.embedding_std < 1e30:
            raise ConfigError(
                f"Denoiser setting embedding_std={shorten(self.embedding_std)} is not a number of at least 0."
            )
        floor = self.input_floor
        if isinstance(floor, bool) or not isinstance(floor, int | float) or not 0.0 <= floor <= 1.0:
            raise ConfigError(f"Denoiser setting input_floor={shorten(floor)} lies outside 0 to 1.")
        sharpness = self.kernel_sharpness
        # Above 50 the kernel is zero for all but identical vectors, and below 0.01 it is one for all.
        if isinstance(sharpness, bool) or not isinstance(sharpness, int | float) or not 0.01 <= sharpness <= 50.0:
            raise ConfigError(f"Denoiser setting kernel_sharpness={shorten(sharpness)} lies outside 0.01 to 50.")
        if self.num_landmarks and (self.class_group < 0 or self.given_row):
            reason = "has none" if self.class_group < 0 else "already adds retrieved rows (given_row)"
            raise ConfigError(
                f"num_landmarks={self.num_landmarks} needs tokens that each belong to one class, and a class row of its own; this "
                f"denoiser {reason}. Use num_landmarks=0."
            )
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size={self.hidden_size} cannot be divided among num_attention_heads={self.num_attention_heads}; "
                "choose a multiple."
            )
        if len(self.group_widths) != len(self.group_sizes):
            raise ConfigError(
                f"{len(self.group_widths)} group widths but {len(self.group_sizes)} group sizes; every token group needs both."
            )
        if max(self.group_widths) > self.token_width:
            raise ConfigError(f"A token group is {max(self.group_widths)} wide, but tokens only {self.token_width}.")
        if self.class_group >= len(self.group_widths):
            raise ConfigError(
                f"class_group={self.class_group}, but there are only {len(self.group_widths)} token groups."
            )
        for name in ("skip", "given_row"):
            if getattr(self, name) and self.class_group < 0:
                raise ConfigError(
                    f"{name}=True needs tokens that each belong to one class, and this layout has none; "
                    f"use the class-row tokenizer or {name}=False."
                )
        if self.pool_rank and self.class_group < 0:
            raise ConfigError(
                f"pool_rank={self.pool_rank} needs tokens that each belong to one class, and this layout has none; "
                "use the class-row tokenizer or pool_rank=0."
            )
        if self.pool_rank and len(self.group_widths) == 1:
            raise ConfigError(
                f"pool_rank={self.pool_rank} forecasts shared tokens, and this network has only class rows; use 0."
            )
        if self.pool_moments > self.pool_rank:
            raise ConfigError(
                f"pool_moments={self.pool_moments} is more than pool_rank={self.pool_rank}; "
                "lower pool_moments or raise pool_rank."
            )
        if bool(self.forecast_width) != bool(self.descriptor_size and self.pool_rank):
            raise ConfigError(
                f"forecast_width={self.forecast_width}, descriptor_size={self.descriptor_size} and pool_rank={self.pool_rank} do not "
                "fit together. A forecast_width belongs to a tokenizer that has descriptors (filter) and to a pool_rank above 0; leave "
                "it out elsewhere."
            )
        for name, allowed in (("output_width", True), ("skip_width", self.skip)):
            if getattr(self, name) and not (self.descriptor_size and allowed):
                raise ConfigError(
                    f"{name}={getattr(self, name)} belongs to a tokenizer that has descriptors (filter){'' if allowed else ', and to a skip'}; "
                    "leave it out elsewhere."
                )
        if (count := count_parameters(self)) > MAX_PARAMETERS:
            raise ConfigError(
                f"These sizes make a denoiser of {count:,} parameters, but at most {MAX_PARAMETERS:,} are allowed. Lower hidden_size, "
                "num_decoder_layers or pool_moments."
            )

    @property
    def widths_of_maps(self) -> tuple[int, int]:
        """Middle widths of the two maps of described tokens that are no forecast of a class set: out of H, and the skip."""
        return self.output_width or 4 * self.hidden_size, self.skip_width or 4 * self.hidden_size

    @property
    def input_dim(self) -> int:
        """Width of a class's input: the conditioning vector, and the retrieved row if there is one."""
        return self.condition_dim + (self.group_widths[self.class_group] if self.given_row else 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` converts them back."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        if not self.descriptor_size:  # left out, so that older versions of this program can read the folder
            for name in ("descriptor_size", "forecast_width", "output_width", "skip_width"):
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DenoiserConfig:
        """Return the configuration that `to_dict` described.

        Raises:
            ConfigError: a setting is unknown, missing or out of range.
        """
        fields = dataclasses.fields(cls)
        unknown = sorted(values.keys() - {field.name for field in fields})
        if unknown:
            raise ConfigError(
                f"Unknown denoiser setting {shorten(unknown[0])}.{did_you_mean(unknown[0], [f.name for f in fields])} "
                f"Known: {', '.join(field.name for field in fields)}."
            )
        missing = [f.name for f in fields if f.default is dataclasses.MISSING and f.name not in values]
        if missing:
            raise ConfigError(f"The denoiser's configuration lacks {', '.join(missing)}; give a value for each.")
        return cls(**values)


_MAX_GROUPS = 10_000

_FORECAST_WIDTH = 4096
"""The default of `DenoiserConfig.forecast_width`. Narrower ones learn more slowly: see docs/explanation/denoiser.md."""


def _check_integer(name: str, value: object, least: int, most: int = MAX_COUNT) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"Denoiser setting {name}={shorten(value)} is not an integer from {least} to {most:,}.")


def _sizes(hidden: int, heads: int, encoder: int, decoder: int, pool: tuple[int, int] = (0, 0)) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_encoder_layers": encoder,
            "num_decoder_layers": decoder,
            "pool_rank": pool[0],
            "pool_moments": pool[1],
        }
    )


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tina": _sizes(hidden=2048, heads=16, encoder=12, decoder=12),  # the sizes on the published model card
        "tina-published": _sizes(
            hidden=2048, heads=16, encoder=0, decoder=12
        ),  # the sizes in the published code; meant for `chunk`
        "small": _sizes(
            hidden=128, heads=4, encoder=1, decoder=2, pool=(96, 24)
        ),  # chosen by measurements; below 16 MB in float32
        "tiny": _sizes(hidden=64, heads=2, encoder=1, decoder=1),  # for tests and the quick start
    }
)
"""Name -> settings. `build_config` adds those that depend on the target network and the encoder."""


def preset(name: str, **overrides: Any) -> DenoiserConfig:
    """Return the settings of a named size.

    Args:
        name: a key of `PRESETS`.
        overrides: the settings without a default (`condition_dim`, `group_widths`, ...), and any others.

    Raises:
        UnknownNameError: there is no such preset.
        ConfigError: a setting is unknown, missing or out of range.
    """
    if name not in PRESETS:
        raise UnknownNameError(
            f"Unknown denoiser preset '{name}'.{did_you_mean(name, PRESETS)} Known: {', '.join(PRESETS)}."
        )
    return DenoiserConfig.from_dict({**PRESETS[name], **overrides})


def build_config(
    name: str, *, condition_dim: int, layout: TokenLayout, max_classes: int, skip: bool | None = None, **overrides: Any
) -> DenoiserConfig:
    """Return the settings of a named size for one target network and one encoder.

    Args:
        name: a key of `PRESETS`.
        condition_dim: E.
        layout: a layout of the tokenizer for `max_classes`, at any class count.
        max_classes: the largest class count.
        skip: see `DenoiserConfig`. None: on if the layout has class rows. Meant for ``prediction_type="sample"``; turn it off
            for other prediction types. If it is off, or the network has only class rows, the pooled forecast is off as
            well, unless an override turns it on.
        overrides: any other setting of `DenoiserConfig`.

    Raises:
        UnknownNameError, ConfigError: as `preset`.
    """
    class_groups = set(layout.group[layout.token_class >= 0].tolist())
    class_group = class_groups.pop() if len(class_groups) == 1 else -1
    skip = class_group >= 0 if skip is None else skip
    pooled = skip and len(layout.group_widths) > 1
    derived: dict[str, Any] = {} if pooled else {"pool_rank": 0, "pool_moments": 0}
    derived |= {
        "condition_dim": condition_dim,
        "group_widths": layout.group_widths,
        "group_sizes": layout.group_sizes,
        "token_width": layout.token_width,
        "max_classes": max_classes,
        "equivariant": layout.equivariant,
        "class_group": class_group,
        "skip": skip,
    }
    if layout.descriptors is not None:
        derived["descriptor_size"] = layout.descriptors.shape[1]
        has_forecast = overrides.get("pool_rank", derived.get("pool_rank", PRESETS.get(name, {}).get("pool_rank", 0)))
        derived["forecast_width"] = _FORECAST_WIDTH if has_forecast else 0
    if "pool_rank" in overrides and "pool_moments" not in overrides and name in PRESETS:
        # A lower rank must not conflict with the preset's number of pairs, which the caller did not mention.
        derived["pool_moments"] = min(
            overrides["pool_rank"], derived.get("pool_moments", PRESETS[name]["pool_moments"])
        )
    return preset(name, **{**derived, **overrides})


def count_parameters(config: DenoiserConfig) -> int:
    """Return the number of parameters of `Denoiser(config)` without building it; docs/explanation/denoiser.md has the formula."""
    hidden, ratio = config.hidden_size, config.mlp_ratio
    block = (4 + 2 * ratio) * hidden**2 + (9 + ratio) * hidden
    total = (config.num_encoder_layers + config.num_decoder_layers) * block
    # Projections of conditioning vectors and of the timestep.
    total += (config.condition_dim + 1) * hidden
    total += (2 * config.num_timestep_frequencies + 1) * hidden
    described = config.descriptor_size
    if described:
        # Waves of the descriptor and their projection to H; the map into H with its gate; the map out of H.
        total += (described + 1) * 2 * hidden + (2 * hidden + 1) * hidden
        total += (config.token_width + 1) * hidden + (hidden + 1) * hidden
        total += _described_linear(config, hidden, config.widths_of_maps[0])
    else:
        # Projections of each token group into H and out of it, and its position embeddings.
        for width, positions in zip(config.group_widths, config.group_sizes, strict=True):
            total += (width + 1) * hidden + (hidden + 1) * width + positions * hidden
    # The final layer norms of decoder and encoder.
    total += 2 * hidden * (2 if config.num_encoder_layers else 1)
    if not config.equivariant:
        total += config.max_classes * hidden
    if config.skip and described:
        total += _described_linear(config, config.condition_dim, config.widths_of_maps[1])
    elif config.skip:
        total += (config.condition_dim + 1) * config.group_widths[config.class_group]
    if config.num_landmarks:
        total += config.num_landmarks * (config.condition_dim + config.group_widths[config.class_group])
    if config.pool_rank and described:
        features = config.pool_rank + config.pool_moments * (config.pool_moments + 1) // 2
        total += config.pool_rank * config.condition_dim
        total += _described_linear(config, features, config.forecast_width)
    elif config.pool_rank:
        features = config.pool_rank + config.pool_moments * (config.pool_moments + 1) // 2
        outputs = sum(w * n for w, n in zip(config.group_widths, config.group_sizes, strict=True))
        outputs -= config.group_sizes[config.class_group] * config.group_widths[config.class_group]
        total += config.pool_rank * config.condition_dim + (features + 1) * outputs
    return total


def _described_linear(config: DenoiserConfig, in_features: int, width: int) -> int:
    """Return the number of parameters of a `DescribedLinear` whose outputs are tokens."""
    return (config.descriptor_size + 1 + in_features + 1 + config.token_width) * width
