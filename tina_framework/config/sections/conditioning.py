"""Settings of the conditioning vectors: how class names become input of the denoiser."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tina_framework.config.fields import MAY_CHANGE, Fraction, NotNegative, OrNone, Section, TextList

__all__ = ["ConditioningSettings"]


class ConditioningSettings(Section):
    """How class names become conditioning vectors, in training and in the finished generator."""

    title: ClassVar[str] = "Conditioning"

    encoders: TextList = Field(
        ["clip-lite"],
        min_length=1,
        description="Text encoders of one embedding space; training mixes the templates of all of them.",
        json_schema_extra=MAY_CHANGE,
    )
    default_encoder: Annotated[str | None, OrNone] = Field(
        None,
        description="Text encoder that the finished generator uses; none uses the first of encoders.",
        json_schema_extra=MAY_CHANGE,
    )
    template_mixing: bool = Field(
        True,
        description="Mix templates: each class gets one template or, half of the time, a random average of all.",
    )
    condition_noise: NotNegative = Field(
        0.0, description="Length of the Gaussian noise added to conditioning vectors, relative to their own length."
    )
    retrieve_rows: bool = Field(
        False,
        description="Also condition on weight rows that the generic model has for each class or for similar classes.",
    )
    open_vocabulary: bool = Field(
        False,
        description="Let the finished generator read the vectors of any words as they are, instead of projecting them onto those of "
        "its classes (needs kernel_ridge; follows the generator of init_from).",
    )
    unseen_class_probability: Fraction = Field(
        0.0, description="Share of tasks in which some classes are treated as unseen (needs retrieve_rows)."
    )
    unseen_class_noise: NotNegative = Field(0.3, description="condition_noise of classes that are treated as unseen.")
