"""Settings of the training objectives: losses, their weights and their batches."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tina_framework.config.fields import (
    MAY_CHANGE,
    Count,
    Fraction,
    NotNegative,
    NotNegativeCount,
    OrNone,
    Positive,
    Section,
    UserPath,
)

__all__ = ["ObjectiveSettings"]


class ObjectiveSettings(Section):
    """The losses and the batches they are computed on. Batch sizes are totals over all processes."""

    title: ClassVar[str] = "Objectives"

    task_weight: NotNegative = Field(
        1.0, description="Weight of the task loss: cross-entropy of generated networks on training images."
    )
    task_batch_size: Count = Field(
        8, description="Generated networks per step, over all processes: one for each task by default."
    )
    draws_per_task: Count = Field(
        1,
        description="Networks per task in a step: this many neighbours of the batch share task, prompt and images, and "
        "differ in their noise.",
    )
    joint_weight: Fraction = Field(
        0.5,
        description="With several draws per task: share of the loss of their mean probabilities in the task loss. "
        "The rest is the mean of their own losses.",
    )
    images_per_task: Count = Field(200, description="Training images per task.")
    rollout_probability: Fraction = Field(
        0.25,
        description="Share of tasks that start at a random timestep from the denoiser's own prediction "
        "instead of pure noise.",
    )
    denoise_weight: NotNegative = Field(
        0.1, description="Weight of the denoising loss: mean squared error against p-Models of the zoo."
    )
    denoise_batch_size: Count = Field(32, description="p-Models per step, over all processes.")
    snr_gamma: Annotated[Positive | None, OrNone] = Field(
        None,
        description="Gamma of Min-SNR weighting (arXiv 2303.09556) in the denoising loss; none weights all timesteps equally.",
    )
    teacher: Annotated[UserPath | None, OrNone] = Field(
        None,
        description="File of a teacher (see tina train-teacher), whose logits generated networks learn from; none for labels alone.",
        json_schema_extra=MAY_CHANGE,
    )
    teacher_weight: Fraction = Field(
        0.9, description="With a teacher: its share in the task loss. The rest is the cross-entropy with the labels."
    )
    teacher_temperature: Positive = Field(
        1.0, description="With a teacher: the temperature by which its logits and the network's are divided."
    )
    image_shift: NotNegativeCount = Field(
        0, description="Shift training images at random by up to this many pixels; the edges are mirrored."
    )
    regression: bool = Field(
        False,
        description="Train a regressor instead of diffusion: the denoiser always sees zeros at the last timestep "
        "and generates in one step. With draws_per_task, it has as many heads, each with a fixed input.",
    )
