"""Settings of the optimizer, the learning rate schedule and the averaged weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tina_framework.config.fields import (
    FractionBelowOne,
    NotNegative,
    Number,
    OrNone,
    Positive,
    Section,
)

__all__ = ["OptimizerSettings"]


class OptimizerSettings(Section):
    """How long the denoiser trains, and how its weights are updated."""

    title: ClassVar[str] = "Optimizer"

    max_steps: Annotated[int, Number, Field(ge=0, le=10**9)] = Field(
        9000,
        description="Total number of optimizer steps. Left out with fewer than 20 training classes: 500, and 300 for a head on a "
        "frozen trunk.",
    )
    seed: Annotated[int, Number, Field(ge=0, le=10**15)] = Field(
        0, description="Seed of all random draws; results do not depend on the number of processes."
    )
    optim: Literal["adamw", "adafactor"] = Field(
        "adamw", description="Optimizer; adafactor needs much less memory for its state."
    )
    learning_rate: Positive = Field(3e-4, description="Peak learning rate.")
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="Learning rate schedule after the warm-up; cosine and linear end at zero."
    )
    lr_warmup_steps: Annotated[int, Number, Field(ge=0, le=10**9)] = Field(
        200,
        description="Steps of linear warm-up of the learning rate. Left out together with max_steps: at most a fifth of max_steps.",
    )
    adam_beta1: FractionBelowOne = Field(0.9, description="beta1 of AdamW.")
    adam_beta2: FractionBelowOne = Field(0.999, description="beta2 of AdamW.")
    adam_epsilon: Positive = Field(1e-8, description="epsilon of AdamW.")
    weight_decay: NotNegative = Field(
        0.01,
        description="Weight decay of matrices; biases, norms, embeddings and the linear forecasts have none.",
    )
    max_grad_norm: Annotated[Positive | None, OrNone] = Field(
        1.0, description="Norm to which gradients are clipped; none does not clip."
    )
    ema_decay: FractionBelowOne = Field(
        0.999,
        description="Decay of the averaged weights, which are validated and exported; it warms up as (1 + n) / (10 + n).",
    )
