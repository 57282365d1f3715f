"""The reverse diffusion loop, and the promise that a seed makes.

Shapes: B batch, P tokens, D token width, K classes, E condition width.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.denoiser.preconditioning import model_input
from tina_framework.denoiser.transformer import ClassMemory, Denoiser
from tina_framework.errors import ConfigError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.interfaces.scheduler import NoiseScheduler, is_flow
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.plugin.discovery import registries

__all__ = ["forward_process", "make_scheduler", "sample_tokens", "task_draws"]

NOISE_PROCESS = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "shift", "prediction_type",
)  # fmt: skip
"""What the denoiser was trained for; a sampler is free in everything else."""


def task_draws(seed: int, sample: int, sorted_keys: Sequence[str]) -> torch.Generator:
    """The random numbers of one model: they depend on the seed, the sample's number and the set of classes alone.

    On the CPU, so that every device gets the same ones.
    """
    text = json.dumps([int(seed), int(sample), list(sorted_keys)])
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def forward_process(config: Mapping[str, Any]) -> Any:
    """The noise process of a scheduler's configuration, with `predict_original_sample` and `get_velocity`."""
    settings = {key: config[key] for key in NOISE_PROCESS if key in config}
    return registries().schedulers.create("flow-match-euler" if is_flow(config) else "ddpm", **settings)


def make_scheduler(config: GeneratorConfig, scheduler: str | NoiseScheduler | None) -> NoiseScheduler:
    """The sampler to use: the generator's own, another by registry name, or a (diffusers) object.

    Raises:
        ConfigError: it does not fit the noise process, or clips samples.
        UnknownNameError: no scheduler has that name.
    """
    own = config.scheduler
    if scheduler is None or scheduler == own["name"]:
        made: NoiseScheduler = registries().schedulers.create(own["name"], **own["config"])
        return made
    if isinstance(scheduler, str):
        settings = {key: own["config"][key] for key in NOISE_PROCESS if key in own["config"]}
        _check_process(scheduler, registries().schedulers.create(scheduler).config, own["config"])
        made = registries().schedulers.create(scheduler, **settings)
        return made
    if not hasattr(scheduler, "config"):
        raise ConfigError(
            f"The scheduler is {scheduler!r}; give the name of one, or an object like those of diffusers."
        )
    _check_fits(scheduler, own["config"])
    return scheduler


def _check_process(name: str, given: Any, trained: Mapping[str, Any]) -> None:
    if is_flow(dict(given)) == is_flow(trained):
        return
    flow = "rectified flow; use 'flow-match-euler'"
    diffusion = "diffusion; use a scheduler of DDPM's process, e.g. 'ddim' or 'ddpm'"
    raise ConfigError(
        f"{name} samples another noise process than this generator was trained for, which is "
        f"{flow if is_flow(trained) else diffusion}."
    )


def _check_fits(scheduler: NoiseScheduler, trained: Any) -> None:
    given = dict(scheduler.config)
    _check_process(type(scheduler).__name__, given, trained)
    if not hasattr(scheduler, "alphas_cumprod") or "prediction_type" not in given:
        raise ConfigError(
            f"{type(scheduler).__name__} has no alphas_cumprod or no prediction_type, which sampling needs; "
            + (
                "use 'flow-match-euler', which samples alike."
                if is_flow(trained)
                else "use a scheduler of DDPM's process, e.g. DDIM, DPM-Solver++, UniPC or Euler."
            )
        )
    for key in NOISE_PROCESS:
        if key in given and key in trained and given[key] != trained[key]:
            raise ConfigError(
                f"The scheduler has {key}={given[key]!r}, but this generator was trained with {trained[key]!r}; "
                "build it from generator.config.scheduler['config']."
            )
    for key in ("clip_sample", "thresholding"):
        if given.get(key):
            raise ConfigError(f"The scheduler has {key}=True, which cuts off weights; build it with {key}=False.")


def sample_tokens(
    denoiser: Denoiser,
    scheduler: NoiseScheduler,
    memory: ClassMemory,
    layout: TokenLayout,
    draws: list[torch.Generator],
    num_inference_steps: int,
    initial_noise: bool = True,
) -> Tensor:
    """Runs the scheduler's loop from noise to clean tokens.

    Args:
        denoiser: in evaluation mode.
        scheduler: copied, so that nothing is left in it.
        memory: of B tasks, from `Denoiser.encode`.
        layout: of the tasks' class count.
        draws: B generators on the CPU, one a row.
        num_inference_steps: S.
        initial_noise: start from noise; False: from zeros, as a regressor was trained to.

    Returns:
        (B, P, D) on the denoiser's device.
    """
    scheduler = copy.deepcopy(scheduler)
    device = memory.hidden_BKH.device
    scheduler.set_timesteps(num_inference_steps)
    alphas_cumprod_T = torch.as_tensor(scheduler.alphas_cumprod, device=device)
    prediction_type = dict(scheduler.config)["prediction_type"]
    shape = (layout.num_tokens, layout.token_width)
    noise = torch.stack([torch.randn(shape, generator=draw) for draw in draws]).to(device)
    tokens_BPD = noise * float(scheduler.init_noise_sigma) if initial_noise else torch.zeros_like(noise)
    class_mask = torch.ones(memory.hidden_BKH.shape[:2], dtype=torch.bool, device=device)
    extra = {"generator": draws} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(tokens_BPD, t)
        t_B = t.to(device).expand(len(draws))
        seen = model_input(scaled, t_B, alphas_cumprod_T, prediction_type)
        predicted = denoiser.denoise(seen, t_B, memory, layout, class_mask)
        tokens_BPD = scheduler.step(predicted, t, tokens_BPD, **extra).prev_sample
    return tokens_BPD
