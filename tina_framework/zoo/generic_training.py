"""Training the generic model: one network for all classes of a data set, from which every p-Model starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError
from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import read_digested, write_safetensors
from tina_framework.targets.image_shifts import check_shift
from tina_framework.targets.sgd import FitState, SGDRecipe, fit
from tina_framework.zoo.image_bank import ImageBank

__all__ = ["train_generic"]


def train_generic(
    spec: ParameterSpec,
    bank: ImageBank,
    recipe: SGDRecipe,
    seed: int,
    partial: Path,
    identity: str = "",
    on_epoch: Callable[[int, float], None] | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Train the generic model. A stopped run continues after the last finished epoch when called again.

    Args:
        spec: parameters of the architecture.
        bank: training images of all classes.
        recipe: how to train.
        seed: seed of the initial weights, and of the order, flips and shifts of the images.
        partial: the file that keeps the state after each epoch. The caller removes it when the result is stored.
        identity: a digest of all settings. A state that was stored under another identity is discarded.
        on_epoch: called with (epochs done, mean loss).
        start: the initial parameters. None: those that the architecture draws.

    Returns:
        The state dict, on the CPU.

    Raises:
        ConfigError: the recipe shifts images, and the architecture does not allow it.
        TrainingError: the loss is not finite.
    """
    check_shift(recipe.image_shift, spec.architecture)
    with seeded_random_state(seed):
        module = spec.architecture.build(len(bank.class_names))
    if start is not None:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(start[name])
    module.to(bank.images.device)

    def save(epoch: int, loss: float, state: Callable[[], FitState]) -> None:
        now = state()
        tensors = {f"parameters.{n}": t for n, t in now.parameters.items()}
        tensors |= {f"momenta.{n}": t for n, t in now.momenta.items()} | {f"sums.{n}": t for n, t in now.sums.items()}
        metadata = {"epoch": str(now.epoch), "averaged": str(now.averaged), "identity": identity}
        write_safetensors(partial, tensors, metadata, digest=True)
        if on_epoch is not None:
            on_epoch(epoch, loss)

    mirrored = bank.mirrored if recipe.flip else None
    state = _resume(partial, identity)
    fit(module, bank.images, bank.labels, recipe, seed, save, state, mirrored, bank.teacher)
    return {name: parameter.detach().cpu() for name, parameter in module.named_parameters()}


def _resume(partial: Path, identity: str) -> FitState | None:
    if not partial.is_file():
        return None
    try:
        tensors, metadata = read_digested(partial)
    except CheckpointError:
        return None  # a damaged state costs a new start, not an error

    if metadata.get("identity") != identity:
        return None

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

    return FitState(
        int(metadata["epoch"]), part("parameters."), part("momenta."), part("sums."), int(metadata["averaged"])
    )
