"""Settings of computation: precision, memory and threads."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tina_framework.config.fields import MAY_CHANGE, Count, CountOrNone, Number, OrNone, Section

__all__ = ["ComputeSettings"]

_WEEK = 7 * 24 * 3600.0


class ComputeSettings(Section):
    """How a step is computed on the machine."""

    title: ClassVar[str] = "Precision and memory"

    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="Precision of the denoiser.")
    target_precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Precision of the generated networks; auto uses bf16 where the device supports it."
    )
    target_convolution: Literal["grouped", "im2col"] = Field(
        "grouped",
        description="How generated networks convolve together on a GPU; im2col needs more memory and may be faster.",
    )
    tf32: Annotated[bool | None, OrNone] = Field(
        None,
        description="Whether float32 products on an NVIDIA GPU are rounded to TF32, which is faster; none leaves torch's choice.",
    )
    torch_compile: bool = Field(
        False, description="Compile the denoiser with torch.compile, which is faster after a slow start."
    )
    torch_compile_backend: Annotated[str | None, OrNone] = Field(
        None, description="Backend of torch_compile; none means inductor, which needs a C++ compiler."
    )
    torch_compile_mode: Annotated[
        Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None, OrNone
    ] = Field(None, description="Mode of torch_compile; none means default.")
    gradient_checkpointing: bool = Field(
        False, description="Compute activations again in the backward pass, which saves memory and costs time."
    )
    gradient_accumulation_steps: Count = Field(
        1, description="Number of parts into which the batch of a step is split to save memory."
    )
    target_workers: CountOrNone = Field(
        None,
        description="CPU threads that run generated networks; none uses as many as torch uses.",
        json_schema_extra=MAY_CHANGE,
    )
    process_timeout: Annotated[float, Number, Field(gt=0, le=_WEEK)] = Field(
        1800.0,
        description="Seconds that the processes of a run wait for one that does not answer.",
        json_schema_extra=MAY_CHANGE,
    )
