"""The settings of a training run: a flag goes over an environment variable, that over the TOML file, that over the default.

Names are Accelerate's and transformers' wherever they have one. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from tina_framework.config.checks import contradictions
from tina_framework.config.sources import Settings, from_text, load_settings, none_from_text, weights_from_text
from tina_framework.denoiser.presets import PRESETS
from tina_framework.plugin.suggest import did_you_mean

__all__ = ["ENVIRONMENT_PREFIX", "TrainingConfig", "load_config"]

ENVIRONMENT_PREFIX = "TINA_"

Texts = Annotated[list[str], NoDecode, BeforeValidator(from_text)]
Optional = BeforeValidator(none_from_text)
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[Count | None, Optional]


Scheme = Literal["random", "two-superclasses", "ten-superclasses"]


class TrainingConfig(Settings):
    """All settings. Built directly, it reads nothing but its arguments; use `load_config` for files and environment."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, protected_namespaces=()
    )

    # What is learnt from
    output_dir: Path = Field(description="Folder for the log, the checkpoints and the finished generator.")
    dataset: str = Field(min_length=1, description="Data set, e.g. arrays:FILE.npz, cifar100, shapes.")
    zoo: Path = Field(description="Folder of a zoo (tina zoo build): generic model and p-Models.")
    encoders: Texts = Field(
        min_length=1, description="Sources of the condition vectors, all of one space; all their templates are mixed."
    )
    default_encoder: Annotated[str | None, Optional] = Field(
        None, description="Encoder that the finished generator reads prompts with; by default the first of encoders."
    )
    architecture: Annotated[str | None, Optional] = Field(
        None, description="Target architecture; by default the zoo's."
    )
    zoo_models: CountOrNone = Field(
        None, description="How many of the zoo's p-Models to learn from, the first; none: all that fit the classes."
    )
    scale: Literal["tensor", "network"] = Field(
        "tensor", description="What shares one scale when differences are standardised: a tensor, or the whole network."
    )
    train_split: Literal["train", "train+validation"] = Field(
        "train", description="Images to train on; train+validation for a final refit."
    )
    held_out_classes: Texts = Field([], description="Classes that training never uses (to test on unseen classes).")
    validation_classes: Texts = Field(
        [],
        description="Classes that the zoo knows but training leaves alone: to choose settings for unseen classes on.",
    )
    max_classes: Annotated[int, Field(ge=2)] = Field(10, description="Greatest class count the generator can do.")
    class_counts: Annotated[dict[int, Positive], NoDecode, BeforeValidator(weights_from_text)] = Field(
        {10: 1.0},
        min_length=1,
        description='Class count -> weight in training tasks, e.g. {"10": 2, "5": 1} or 10:2,5:1.',
    )
    schemes: Annotated[dict[Scheme, Positive], NoDecode, BeforeValidator(weights_from_text)] = Field(
        {"random": 1.0}, min_length=1, description="Task scheme -> weight: random, two-superclasses, ten-superclasses."
    )

    # The network
    tokenizer: str = Field("class-row", description="Parameter tokenizer.")
    preset: str = Field("small", description=f"Size of the denoiser: {', '.join(PRESETS)}.")
    hidden_size: CountOrNone = Field(None, description="Overrides the preset.")
    num_encoder_layers: Annotated[Annotated[int, Field(ge=0)] | None, Optional] = Field(
        None, description="Overrides the preset."
    )
    num_decoder_layers: CountOrNone = Field(None, description="Overrides the preset.")
    num_attention_heads: CountOrNone = Field(None, description="Overrides the preset.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Of attention and residual branches.")
    ridge: Annotated[Positive | None, Optional] = Field(
        0.01, description="Strength of the ridge regression that the skip starts from; none: starts at zero."
    )
    pool_rank: Annotated[Annotated[int, Field(ge=0)] | None, Optional] = Field(
        None,
        description="Overrides the preset: directions of a condition that the pooled forecast sees; 0: no such forecast.",
    )
    pool_moments: Annotated[Annotated[int, Field(ge=0)] | None, Optional] = Field(
        None, description="Overrides the preset: how many of these directions it also sees in pairs."
    )

    # Diffusion
    prediction_type: Literal["sample", "epsilon", "v_prediction", "flow_prediction"] = Field(
        "sample",
        description="What the denoiser predicts; flow_prediction: noise - x0, with a scheduler of rectified flow.",
    )
    num_train_timesteps: Annotated[int, Field(ge=2)] = Field(1000, description="Steps T of the forward process.")
    beta_start: Annotated[float, Field(gt=0, lt=1)] = Field(1e-4, description="First noise variance.")
    beta_end: Annotated[float, Field(gt=0, lt=1)] = Field(0.02, description="Last noise variance.")
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = Field(
        "linear", description="How the variances rise in between."
    )
    shift: Positive = Field(
        1.0, description="Of rectified flow, which has no betas: above 1, more of its timesteps are noisy ones."
    )
    scheduler: str = Field(
        "ddim",
        description="Sampler of the finished generator and of validation; training uses the noise process that it samples.",
    )
    num_inference_steps: Count = Field(10, description="Its steps.")

    # Objectives
    task_weight: NotNegative = Field(1.0, description="Weight of the loss of the generated networks on images.")
    denoise_weight: NotNegative = Field(0.1, description="Weight of the loss against the zoo's p-Models.")
    task_batch_size: Count = Field(8, description="Tasks a step, over all processes.")
    images_per_task: Count = Field(200, description="Training images each of those networks is tried on.")
    denoise_batch_size: Count = Field(32, description="p-Models a step, over all processes.")
    snr_gamma: Annotated[Positive | None, Optional] = Field(
        None, description="Weighs timesteps by min(SNR, gamma) / gamma; none: all alike."
    )
    rollout_probability: Fraction = Field(
        0.25, description="Share of tasks denoised from the network's own forecast at a random t instead of pure noise."
    )
    regression: bool = Field(
        False,
        description="A plain regressor instead of diffusion: the denoiser is only ever shown zeros at the last timestep, and answers in one step.",
    )
    condition_noise: NotNegative = Field(
        0.0, description="Gaussian noise on the condition vectors in training, relative to their length."
    )
    recall: bool = Field(
        False, description="Show the denoiser what the generic model's rows say about each class, by resemblance."
    )
    left_out_probability: Fraction = Field(
        0.0, description="Share of tasks in which some classes are treated as never seen (needs recall)."
    )
    left_out_noise: NotNegative = Field(0.3, description="condition_noise of these classes.")
    template_mixing: bool = Field(
        True, description="Mix templates: half the time one of them, else a random average; off: always one of them."
    )

    # Optimiser
    optim: Literal["adamw", "adafactor"] = Field(
        "adamw", description="Optimiser; adafactor keeps next to no state, for networks that hardly fit."
    )
    learning_rate: Positive = Field(3e-4, description="Peak learning rate.")
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="As in AdamW.")
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="As in AdamW.")
    adam_epsilon: Positive = Field(1e-8, description="As in AdamW.")
    weight_decay: NotNegative = Field(
        0.01, description="Of matrices; not of biases, norms, embeddings and the linear forecasts."
    )
    max_grad_norm: Annotated[Positive | None, Optional] = Field(1.0, description="Clips the gradient; none: never.")
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="After the warm-up; cosine and linear end at zero."
    )
    lr_warmup_steps: Annotated[int, Field(ge=0)] = Field(200, description="Steps of linear warm-up.")
    max_steps: Annotated[int, Field(ge=0)] = Field(9000, description="Optimiser steps in all.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="Of the averaged weights, which are validated and exported; warms up as (1 + n) / (10 + n)."
    )
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory; slower.")
    gradient_accumulation_steps: Count = Field(1, description="Parts into which a step's batch is cut to save memory.")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="Of the denoiser.")
    target_precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Of the generated networks.")
    target_workers: CountOrNone = Field(
        None, description="Threads that run generated networks on a CPU; by default as many as torch uses."
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Fixes every random draw, whatever the number of processes."
    )

    # Validation, checkpoints, reports
    validation_steps: CountOrNone = Field(
        500, description="Steps between validations; none: at the start and end only."
    )
    num_validation_tasks: Annotated[int, Field(ge=0)] = Field(50, description="Validation tasks; 0: never validate.")
    checkpointing_steps: CountOrNone = Field(500, description="Steps between checkpoints; none: at the end only.")
    checkpoints_total_limit: Annotated[int, Field(ge=2)] = Field(2, description="Checkpoints kept, at least two.")
    init_from: Annotated[str | None, Optional] = Field(
        None, description="Generator (folder, bundled name or Hub id) whose weights a new run starts from."
    )
    resume_from_checkpoint: Annotated[str | None, Optional] = Field(
        None, description="latest, or the folder of a checkpoint."
    )
    overwrite_output_dir: bool = Field(False, description="Start anew in a folder that holds a run already.")
    max_seconds: Annotated[Positive | None, Optional] = Field(
        None, description="Stop after that time, with a checkpoint and an export."
    )
    logging_steps: Count = Field(10, description="Steps a line of the log.")
    report_to: Texts = Field([], description="Accelerate's trackers, e.g. tensorboard, wandb.")
    run_name: str = Field("tina", description="What trackers call the run.")
    bundle_zoo_reference: bool = Field(
        False, description="Store the generic model in the exported folder, to compare with later."
    )

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        if value not in PRESETS:
            raise ValueError(f"expected one of {', '.join(PRESETS)}.{did_you_mean(value, PRESETS)}")
        return value

    def contradictions(self) -> list[tuple[str, str]]:
        """(field, what was expected) for values that are fine alone but not together."""
        return contradictions(self)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, all fields."""
        return self.model_dump(mode="json")

    def sha256(self) -> str:
        """Of the canonical JSON: the name of the recipe."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def load_config(flags: Mapping[str, Any] | None = None, file: Path | str | None = None) -> TrainingConfig:
    """Reads flags, environment and file.

    Args:
        flags: field -> text (or value), as typed.
        file: a TOML file with fields at its top level.

    Raises:
        ConfigError: something is wrong; the message names every mistake with its value and where it came from.
    """
    return load_settings(TrainingConfig, flags, file)
