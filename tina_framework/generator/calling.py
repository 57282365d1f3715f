"""What a call of a generator takes: its types, a torch generator in place of a seed, and a callback after every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from tina_framework.errors import ConfigError, shorten
from tina_framework.generator.options import ComposeMethod, OnProgress
from tina_framework.interfaces.encoder import Encoder
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import EncodedTask

if TYPE_CHECKING:
    from PIL.Image import Image

    from tina_framework.generator.generator import Generator
    from tina_framework.generator.sampling import OnStepEnd

    Class = str | Image | ClassPrompt
    OneTask = str | EncodedTask | Sequence[Class]
    """A sentence, an encoded task, or the classes of one task."""
    ManyTasks = Path | Sequence[EncodedTask] | Sequence[Sequence[Class]]
    """A task file, or a list of tasks."""

__all__ = ["TENSOR_INPUTS", "CallOptions", "ManyTasks", "OneTask", "StepCallback", "drawn_seed", "step_end"]

StepCallback = Callable[[Any, int, Tensor, dict[str, Tensor]], Mapping[str, Tensor] | None]
"""Called with (generator, number of the step, timestep, tensors by name). It returns the tensors that it changed."""


class CallOptions(TypedDict, total=False):
    """The keywords of `Generator.__call__`, which explains them, without `num_samples`."""

    encoder: str | Encoder | None
    template: int
    num_inference_steps: int | None
    seed: int
    generator: torch.Generator | None
    architecture: str | None
    scheduler: str | NoiseScheduler | None
    batch_size: int
    compose: bool | ComposeMethod
    on_progress: OnProgress | None
    callback_on_step_end: StepCallback | None
    callback_on_step_end_tensor_inputs: Sequence[str]


TENSOR_INPUTS = ("latents",)
"""The tensors that a callback may ask for. `latents` are the tokens (B, P, D) of B networks, under the name of diffusers."""


def drawn_seed(seed: int, generator: torch.Generator | None) -> int:
    """Return the seed: the one given, or one that is drawn from a torch generator, whose state moves on.

    Raises:
        ConfigError: both are given, or `generator` is something else.
    """
    if generator is None:
        return seed
    if not isinstance(generator, torch.Generator):
        raise ConfigError(
            f"generator is {shorten(generator)}; give one torch.Generator, or a whole number as seed. "
            "Each task has random numbers of its own, so there is no list of generators."
        )
    if seed != 0:
        raise ConfigError(f"The seed {shorten(seed)} and a generator are given; give one of them.")
    return int(torch.randint(2**63 - 1, (), generator=generator, device=generator.device))


def step_end(generator: Generator, callback: StepCallback | None, names: Sequence[str]) -> OnStepEnd | None:
    """Return the callback of a user as the sampling loop calls it.

    Args:
        generator: the first argument of the callback.
        callback: as for `Generator.__call__`.
        names: the tensors that it asks for.

    Raises:
        ConfigError: the callback cannot be called, or asks for an unknown tensor.
    """
    if callback is None:
        return None
    if not callable(callback):
        raise ConfigError(f"callback_on_step_end is {shorten(callback)}; give a function, or None.")
    if isinstance(names, str) or not isinstance(names, Sequence) or any(name not in TENSOR_INPUTS for name in names):
        raise ConfigError(
            f"callback_on_step_end_tensor_inputs is {shorten(names)}; give a list of the names {', '.join(TENSOR_INPUTS)}."
        )

    def on_step_end(step: int, timestep: Tensor, tokens_BPD: Tensor) -> Tensor:
        changed = callback(generator, step, timestep, {"latents": tokens_BPD} if "latents" in names else {})
        if changed is not None and not isinstance(changed, Mapping):
            raise ConfigError(
                f"callback_on_step_end returned {shorten(changed)}; return a dictionary of the changed tensors, or None."
            )
        found = tokens_BPD if changed is None else changed.get("latents", tokens_BPD)
        if not isinstance(found, Tensor) or found.shape != tokens_BPD.shape:
            what = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else shorten(found)
            raise ConfigError(
                f"callback_on_step_end returned latents {what}; return a tensor of shape {tuple(tokens_BPD.shape)}."
            )
        return found.to(tokens_BPD)

    return on_step_end
