"""The optimiser, which parameters it decays, and the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError

__all__ = ["decays", "learning_rate", "load_optimizer", "make_optimizer", "optimizer_tensors"]


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: to matrices, but not to position and slot tables nor to the linear forecasts.

    The skip starts as a regression whose strength is chosen already, and the pooled forecast's directions as principal
    ones; decay would undo both.
    """
    tables = ("slot", "tokens.position")
    return parameter.dim() >= 2 and name not in tables and not name.startswith(("skip.", "pooled."))


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW, or Adafactor (arXiv 1804.04235), over all parameters, those with decay first.

    AdamW keeps two numbers a parameter. Adafactor keeps one a row and one a column of each matrix, next to nothing.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": config.weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optim == "adafactor":
        return torch.optim.Adafactor(groups, lr=config.learning_rate)
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,  # one pass over the parameters instead of ten; on every device that torch supports
    )


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The rate of step `step` (from 0): linear warm-up, then cosine or linear to 0 at `max_steps`, or constant."""
    if step < config.lr_warmup_steps:
        return config.learning_rate * (step + 1) / config.lr_warmup_steps
    if config.lr_scheduler_type == "constant_with_warmup":
        return config.learning_rate
    progress = (step - config.lr_warmup_steps) / max(1, config.max_steps - config.lr_warmup_steps)
    progress = min(1.0, progress)
    if config.lr_scheduler_type == "linear":
        return config.learning_rate * (1.0 - progress)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimiser's moments as ``PARAMETER/exp_avg`` and so on; empty before the first step."""
    tensors = {}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}/{key}"] = value
    return tensors


def load_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`.

    Raises:
        CheckpointError: a moment is missing, extra or misshapen.
    """
    parameters = dict(module.named_parameters())
    shapes = {name: _moments(optimizer, parameter) for name, parameter in parameters.items()} if tensors else {}
    expected = {f"{name}/{key}" for name, moments in shapes.items() for key in moments}
    if expected != tensors.keys():
        odd = sorted(expected ^ tensors.keys())[0]
        raise CheckpointError(f"The optimizer's state does not fit this network: '{odd}' is missing or unknown.")
    for name, moments in shapes.items():
        state = {}
        for key, shape in moments.items():
            tensor = tensors[f"{name}/{key}"]
            if tuple(tensor.shape) != shape:
                raise CheckpointError(f"The optimizer's '{name}/{key}' has shape {tuple(tensor.shape)}, not {shape}.")
            # The step count stays on the CPU.
            state[key] = tensor.clone() if key == "step" else tensor.to(parameters[name].device, copy=True)
        optimizer.state[parameters[name]] = state


def _moments(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, tuple[int, ...]]:
    """What the optimiser keeps of a parameter: name -> shape."""
    shape = tuple(parameter.shape)
    if not isinstance(optimizer, torch.optim.Adafactor):
        return {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
    if len(shape) < 2:
        return {"step": (), "variance": shape}
    return {"step": (), "row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}
