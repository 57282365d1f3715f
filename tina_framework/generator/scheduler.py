"""Which scheduler samples a generator, and which noise process the registered schedulers sample."""

from __future__ import annotations

from typing import Any

import torch

from tina_framework.errors import ConfigError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.interfaces.noise_process import NoiseProcess, process_sampled_by
from tina_framework.interfaces.scheduler import NoiseScheduler, noise_process_of
from tina_framework.plugin.discovery import registries

__all__ = ["make_scheduler", "noise_process_named", "schedulers_of", "trained_process"]

_DESCRIPTIONS = {"diffusion": "diffusion", "flow": "rectified flow"}


def noise_process_named(scheduler: str) -> str:
    """Return the noise process of the scheduler that is registered under a name: ``diffusion`` or ``flow``.

    Raises:
        UnknownNameError: no scheduler has that name.
        ConfigError: the scheduler does not state its process.
    """
    return noise_process_of(registries().schedulers.create(scheduler))


def schedulers_of(noise_process: str) -> list[str]:
    """Return the names of all registered schedulers of a noise process; for messages.

    Schedulers that cannot be made, for instance because a package is missing, are left out.
    """
    found = []
    for name in registries().schedulers.names():
        try:
            if noise_process_named(name) == noise_process:
                found.append(name)
        except Exception:  # a plugin's constructor may raise anything, and must not hide the message being made
            continue
    return found


def trained_process(config: GeneratorConfig) -> NoiseProcess:
    """Return the noise process that a generator's denoiser was trained for.

    Raises:
        UnknownNameError: no scheduler has the name that the generator stores.
        PluginError: the scheduler samples another process than it states.
    """
    return process_sampled_by(registries().schedulers.create(config.scheduler["name"], **config.scheduler["config"]))


def make_scheduler(config: GeneratorConfig, scheduler: str | NoiseScheduler | None) -> NoiseScheduler:
    """Return the scheduler to sample with.

    Args:
        config: of the generator.
        scheduler: the scheduler to use. None means the generator's own. A registered name means a new scheduler of that
            name, with the settings of the noise process that the generator was trained for. An object, e.g. one of
            diffusers, is checked and returned.

    Raises:
        ConfigError: the scheduler samples another noise process, or clips samples.
        UnknownNameError: no scheduler has that name.
        PluginError: a named scheduler samples another process than it states.
    """
    own = config.scheduler
    if scheduler is None or scheduler == own["name"]:
        made: NoiseScheduler = registries().schedulers.create(own["name"], **own["config"])
        return made
    trained = trained_process(config)
    if isinstance(scheduler, str):
        _check_same_process(scheduler, noise_process_named(scheduler), trained)
        # A sampler may choose everything but the noise process, which the denoiser was trained for.
        settings = {name: own["config"][name] for name in trained.settings if name in own["config"]}
        made = registries().schedulers.create(scheduler, **settings)
        process_sampled_by(made)  # refuses a scheduler whose noise levels are not those of its settings
        return made
    if not hasattr(scheduler, "config"):
        raise ConfigError(
            f"The scheduler is {scheduler!r}; give the name of one, or an object like those of diffusers."
        )
    _check_fits(scheduler, trained, own["config"])
    return scheduler


def _check_same_process(name: str, noise_process: str, trained: NoiseProcess) -> None:
    if noise_process != trained.noise_process:
        raise ConfigError(
            f"{name} samples {_DESCRIPTIONS[noise_process]}, but this generator was trained for "
            f"{_DESCRIPTIONS[trained.noise_process]}; use one of: {', '.join(schedulers_of(trained.noise_process))}."
        )


def _check_fits(scheduler: NoiseScheduler, trained: NoiseProcess, trained_config: Any) -> None:
    """Check an object that the user made."""
    name, given = type(scheduler).__name__, dict(scheduler.config)
    _check_same_process(name, noise_process_of(scheduler), trained)
    if not hasattr(scheduler, "alphas_cumprod") or "prediction_type" not in given:
        raise ConfigError(
            f"{name} has no alphas_cumprod or no prediction_type, which sampling needs; "
            f"use one of: {', '.join(schedulers_of(trained.noise_process))}."
        )
    for key in trained.settings:
        if key in given and key in trained_config and given[key] != trained_config[key]:
            raise ConfigError(
                f"The scheduler has {key}={given[key]!r}, but this generator was trained with {trained_config[key]!r}; "
                "build it from generator.config.scheduler['config']."
            )
    # Settings that only some schedulers have, e.g. trained_betas, can change the process as well.
    found = torch.as_tensor(scheduler.alphas_cumprod).float().cpu()
    if found.shape != trained.alphas_cumprod.shape or not torch.allclose(found, trained.alphas_cumprod, atol=1e-4):
        raise ConfigError(
            f"The alphas_cumprod of {name} is not that of the noise process which this generator was trained for; "
            "build it from generator.config.scheduler['config'] alone."
        )
    for key in ("clip_sample", "thresholding"):
        if given.get(key):
            raise ConfigError(f"The scheduler has {key}=True, which cuts off weights; build it with {key}=False.")
