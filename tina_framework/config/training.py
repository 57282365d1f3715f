"""The settings of a training run, composed of one section for each component.

Names follow Accelerate and transformers wherever these have one. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import SettingsConfigDict

from tina_framework.config.checks import contradictions
from tina_framework.config.fields import Section
from tina_framework.config.sections.compute import ComputeSettings
from tina_framework.config.sections.conditioning import ConditioningSettings
from tina_framework.config.sections.data import DataSettings
from tina_framework.config.sections.denoiser import DenoiserSettings
from tina_framework.config.sections.noise import NoiseSettings
from tina_framework.config.sections.objectives import ObjectiveSettings
from tina_framework.config.sections.optimizer import OptimizerSettings
from tina_framework.config.sections.output import OutputSettings
from tina_framework.config.sections.validation import ValidationSettings
from tina_framework.config.sources import load_settings

__all__ = ["ENVIRONMENT_PREFIX", "SECTIONS", "TrainingConfig", "load_training_config"]

ENVIRONMENT_PREFIX = "TINA_"

SECTIONS: tuple[type[Section], ...] = (
    DataSettings,
    ConditioningSettings,
    DenoiserSettings,
    NoiseSettings,
    ObjectiveSettings,
    OptimizerSettings,
    ComputeSettings,
    ValidationSettings,
    OutputSettings,
)
"""All sections, in the order of the help page and the documentation."""


# The bases are SECTIONS in reverse, because pydantic collects the fields of the last base first.
class TrainingConfig(
    OutputSettings,
    ValidationSettings,
    ComputeSettings,
    OptimizerSettings,
    ObjectiveSettings,
    NoiseSettings,
    DenoiserSettings,
    ConditioningSettings,
    DataSettings,
):
    """All settings of a training run, without nesting.

    The constructor reads only its arguments; `load_training_config` also reads a file and the environment.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, protected_namespaces=()
    )

    def contradictions(self) -> list[tuple[str, str]]:
        """Return (field, what was expected) for values that are valid alone but not together."""
        return contradictions(self)

    @property
    def sampling_steps(self) -> int:
        """Number of steps in which validation and the finished generator sample."""
        if self.regression:
            return 1
        if self.num_inference_steps is not None:
            return self.num_inference_steps
        # A clean prediction from pure noise is complete. Noise or a velocity becomes clean weights over several steps.
        return 1 if self.prediction_type == "sample" else min(10, self.num_train_timesteps)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return self.model_dump(mode="json")

    def sha256(self) -> str:
        """Return the hash of the settings, which identifies the recipe. The order of the fields does not matter."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def load_training_config(flags: Mapping[str, Any] | None = None, file: Path | str | None = None) -> TrainingConfig:
    """Load the settings from flags, environment variables and a file.

    A flag overrides an environment variable, that overrides the file, and the file overrides the default.

    Args:
        flags: field -> text (or value), as typed.
        file: a TOML file with fields at its top level.

    Raises:
        ConfigError: a setting is wrong; the message lists every mistake with its value and where it came from.
    """
    return load_settings(TrainingConfig, flags, file)
