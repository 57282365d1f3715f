"""Settings of the noise process: diffusion or rectified flow, and the sampler that reverses it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tina_framework.config.fields import MAY_CHANGE, CountOrNone, Number, Positive, Section
from tina_framework.interfaces.whole_numbers import MAX_TIMESTEPS

__all__ = ["NoiseSettings"]


class NoiseSettings(Section):
    """The forward process of training and the sampler of generation, with the names of diffusers."""

    title: ClassVar[str] = "Noise process"

    scheduler: str = Field(
        "ddim",
        description="Scheduler that samples, in validation and in the finished generator. Its noise process, diffusion or "
        "rectified flow, is also the one of training.",
        # Another sampler of the same process is fine; `training.resume` refuses a change of the process.
        json_schema_extra=MAY_CHANGE,
    )
    num_inference_steps: CountOrNone = Field(
        None,
        description="Sampling steps of this scheduler. none: 1 if prediction_type is sample, else 10, or num_train_timesteps if "
        "that is less. A regressor always takes 1.",
        json_schema_extra=MAY_CHANGE,
    )
    prediction_type: Literal["sample", "epsilon", "v_prediction", "flow_prediction"] = Field(
        "sample",
        description="What the denoiser predicts: the clean tokens (sample), the noise (epsilon), the velocity "
        "(v_prediction), or noise - clean tokens (flow_prediction, for rectified flow).",
    )
    num_train_timesteps: Annotated[int, Number, Field(ge=2, le=MAX_TIMESTEPS)] = Field(
        1000, description="Timesteps of the forward process."
    )
    beta_start: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-4, description="Noise variance of the first timestep (diffusion only)."
    )
    beta_end: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.02, description="Noise variance of the last timestep (diffusion only)."
    )
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = Field(
        "linear", description="How the noise variance grows from the first to the last timestep (diffusion only)."
    )
    shift: Positive = Field(1.0, description="Values above 1 make more timesteps noisy (rectified flow only).")
