"""Sample tokens: the reverse diffusion loop, and the random numbers of a seed.

Shapes: B batch, P tokens, D token width, K classes, E condition width.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tina_framework.denoiser.preconditioning import model_input
from tina_framework.denoiser.transformer import Denoiser, EncodedClasses
from tina_framework.interfaces.scheduler import NoiseScheduler, chosen_timesteps, next_sample
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["OnStepEnd", "sample_tokens", "task_draws"]

OnStepEnd = Callable[[int, Tensor, Tensor], Tensor]
"""Called with (number of the step, timestep, tokens (B, P, D)) after every step. Returns the tokens to continue with."""


def task_draws(seed: int, sample: int, sorted_keys: Sequence[str]) -> torch.Generator:
    """Return the random number generator of one network.

    Its numbers depend on the seed, the number of the sample and the set of classes alone. It is on the CPU, so that the
    numbers are the same for every device.

    Args:
        seed: a whole number; see `SamplingOptions`.
        sample: which of a task's samples, from 0.
        sorted_keys: the keys of the task's classes, sorted.
    """
    text = json.dumps([int(seed), int(sample), list(sorted_keys)])
    digest = hashlib.sha256(text.encode()).digest()
    # Shifted, so that it fits a signed 64-bit integer.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _takes_generator(scheduler: NoiseScheduler) -> bool:
    step: Any = scheduler.step
    return _has_generator(getattr(step, "__func__", step))


@lru_cache(maxsize=64)
def _has_generator(function: Callable[..., Any]) -> bool:
    return "generator" in inspect.signature(function).parameters


def sample_tokens(
    denoiser: Denoiser,
    scheduler: NoiseScheduler,
    encoded: EncodedClasses,
    layout: TokenLayout,
    draws: list[torch.Generator],
    num_inference_steps: int,
    initial_noise: bool = True,
    on_step_end: OnStepEnd | None = None,
) -> Tensor:
    """Run the scheduler's loop from noise to clean tokens.

    Args:
        denoiser: in evaluation mode.
        scheduler: copied, so that its state does not change.
        encoded: the classes of B tasks, from `Denoiser.encode`.
        layout: the token layout at the tasks' class count.
        draws: B random number generators on the CPU, one for each row.
        num_inference_steps: number of denoising steps.
        initial_noise: start from noise; False: start from zeros, as a regressor was trained to.
        on_step_end: called after every step.

    Returns:
        (B, P, D) on the denoiser's device.
    """
    # Schedulers keep state between steps, and the caller may use the same object elsewhere.
    scheduler = copy.deepcopy(scheduler)
    device = encoded.hidden_BKH.device
    timesteps = chosen_timesteps(scheduler, num_inference_steps)
    alphas_cumprod_T = torch.as_tensor(scheduler.alphas_cumprod, device=device)
    prediction_type = dict(scheduler.config)["prediction_type"]
    shape = (layout.num_tokens, layout.token_width)
    tokens_BPD = torch.zeros((len(draws), *shape), device="cpu")
    if initial_noise:
        for row, draw in zip(tokens_BPD, draws, strict=True):
            row.normal_(generator=draw)
        sigma = float(scheduler.init_noise_sigma)
        tokens_BPD = tokens_BPD if sigma == 1.0 else tokens_BPD * sigma
    tokens_BPD = tokens_BPD.to(device)
    # Deterministic schedulers take no generator.
    extra = {"generator": draws} if _takes_generator(scheduler) else {}
    # One upload for all steps; the scheduler itself reads timesteps on the host.
    for step, (t, t_there) in enumerate(zip(timesteps, timesteps.to(device), strict=True)):
        scaled = scheduler.scale_model_input(tokens_BPD, t)
        t_B = t_there.expand(len(draws))
        inputs_BPD = model_input(scaled, t_B, alphas_cumprod_T, prediction_type, denoiser.config.input_floor)
        predicted = denoiser.denoise(inputs_BPD, t_B, encoded, layout)
        tokens_BPD = next_sample(scheduler, predicted, t, tokens_BPD, **extra)
        if on_step_end is not None:
            tokens_BPD = on_step_end(step, t, tokens_BPD)
    return tokens_BPD
