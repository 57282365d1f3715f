"""The scheduler of a training run, with the noise process that it samples."""

from __future__ import annotations

from typing import Any

from tina_framework.config.training import TrainingConfig
from tina_framework.generator.scheduler import noise_process_named
from tina_framework.interfaces.noise_process import NOISE_PROCESSES
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.plugin.discovery import registries

__all__ = ["make_sampler", "noise_settings"]


def noise_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings of the noise process that the run's scheduler samples."""
    process = NOISE_PROCESSES[noise_process_named(config.scheduler)]
    return {name: getattr(config, name) for name in process.settings}


def make_sampler(config: TrainingConfig) -> NoiseScheduler:
    """Make the scheduler of the run, with its noise process."""
    sampler: NoiseScheduler = registries().schedulers.create(config.scheduler, **noise_settings(config))
    return sampler
