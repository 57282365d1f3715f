"""Settings of the denoiser: tokens, size and initial weights."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from tina_framework.config.fields import Fraction, FractionBelowOne, Number, OrNone, Positive, Section
from tina_framework.denoiser.presets import MAX_VALUES, PRESETS
from tina_framework.plugin.suggest import did_you_mean

__all__ = ["DenoiserSettings"]


class DenoiserSettings(Section):
    """The network that predicts the parameters of networks."""

    title: ClassVar[str] = "Denoiser"

    tokenizer: str = Field("class-row", description="Tokenizer that cuts the parameters of a network into tokens.")
    preset: str = Field("small", description=f"Size of the denoiser: {', '.join(PRESETS)}.")
    hidden_size: Annotated[Annotated[int, Number, Field(ge=1, le=MAX_VALUES["hidden_size"])] | None, OrNone] = Field(
        None, description="Width of the hidden states; none uses the preset's."
    )
    num_encoder_layers: Annotated[
        Annotated[int, Number, Field(ge=0, le=MAX_VALUES["num_encoder_layers"])] | None, OrNone
    ] = Field(None, description="Number of encoder layers, which read the prompt; none uses the preset's.")
    num_decoder_layers: Annotated[
        Annotated[int, Number, Field(ge=1, le=MAX_VALUES["num_decoder_layers"])] | None, OrNone
    ] = Field(None, description="Number of decoder layers, which read the noisy tokens; none uses the preset's.")
    num_attention_heads: Annotated[
        Annotated[int, Number, Field(ge=1, le=MAX_VALUES["num_attention_heads"])] | None, OrNone
    ] = Field(None, description="Number of attention heads; none uses the preset's.")
    dropout: FractionBelowOne = Field(0.0, description="Dropout probability in attention and residual branches.")
    input_floor: Fraction = Field(
        0.0,
        description="With prediction_type sample: least factor on noisy tokens that the denoiser reads. At 0, noise of the "
        "last timestep almost vanishes; at 1, it is read in full.",
    )
    ridge: Annotated[Positive | None, OrNone] = Field(
        0.01,
        description="Penalty of the ridge regression that initialises the skip connection; none initialises it with zeros.",
    )
    kernel_ridge: Annotated[Positive | None, OrNone] = Field(
        None,
        description="Penalty of a kernel regression from conditioning vectors to class rows, added to the skip "
        "connection, which then starts at zero; 0.1 is a good value. It suits hundreds of classes. none leaves it out.",
    )
    kernel_sharpness: Annotated[float, Number, Field(ge=0.01, le=50)] = Field(
        2.0, description="How quickly the influence of a known class falls with its distance (needs kernel_ridge)."
    )
    pool_rank: Annotated[Annotated[int, Number, Field(ge=0, le=MAX_VALUES["pool_rank"])] | None, OrNone] = Field(
        None,
        description="Directions of a conditioning vector that the pooled forecast reads; 0 removes this forecast, "
        "none uses the preset's.",
    )
    pool_moments: Annotated[Annotated[int, Number, Field(ge=0, le=MAX_VALUES["pool_moments"])] | None, OrNone] = Field(
        None,
        description="How many of these directions the pooled forecast also reads in pairs; none uses the preset's.",
    )
    forecast_width: Annotated[Annotated[int, Number, Field(ge=1, le=MAX_VALUES["forecast_width"])] | None, OrNone] = (
        Field(
            None,
            description="Middle width of the pooled forecast, with a tokenizer that has descriptors; none uses 4096.",
        )
    )
    output_width: Annotated[Annotated[int, Number, Field(ge=1, le=MAX_VALUES["output_width"])] | None, OrNone] = Field(
        None,
        description="Middle width of the map from the hidden state to tokens that have descriptors; none uses four times "
        "the hidden size.",
    )
    skip_width: Annotated[Annotated[int, Number, Field(ge=1, le=MAX_VALUES["skip_width"])] | None, OrNone] = Field(
        None,
        description="The same for the map from a class's conditioning vector to its row.",
    )

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        if value not in PRESETS:
            raise ValueError(f"expected one of {', '.join(PRESETS)}.{did_you_mean(value, PRESETS)}")
        return value
