"""The optimizer, the parameters with weight decay, and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError
from tina_framework.training.sharding import is_sharded, like

__all__ = [
    "decays",
    "empty_moments",
    "follows_max_steps",
    "learning_rate",
    "load_optimizer",
    "make_optimizer",
    "optimizer_tensors",
]


def decays(name: str, parameter: Tensor) -> bool:
    """Return whether weight decay applies to a parameter: to matrices other than embeddings and linear forecasts.

    The skip connection and the kernel forecast start as ridge regressions, which have a penalty of their own, and the directions
    of the pooled forecast start as principal directions. Weight decay would undo them.
    """
    tables = ("slot", "tokens.position")
    return parameter.dim() >= 2 and name not in tables and not name.startswith(("skip.", "kernel.", "pooled."))


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW (arXiv 1711.05101) or Adafactor (arXiv 1804.04235) for all parameters of a module.

    AdamW stores two numbers for each parameter. Adafactor stores one for each row and each column of a matrix, which is
    much less.

    Args:
        module: the module to train.
        config: `optim` chooses the optimizer.
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
        fused=True,  # one pass over the parameters instead of ten; every device of torch supports it
    )


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    After a linear warm-up, the rate falls to 0 at `max_steps` along a cosine (SGDR, arXiv 1608.03983, equation 5, without
    restarts) or a line, or it stays constant.
    """
    if step < config.lr_warmup_steps:
        return config.learning_rate * (step + 1) / config.lr_warmup_steps
    if config.lr_scheduler_type == "constant_with_warmup":
        return config.learning_rate
    progress = (step - config.lr_warmup_steps) / max(1, config.max_steps - config.lr_warmup_steps)
    progress = min(1.0, progress)
    if config.lr_scheduler_type == "linear":
        return config.learning_rate * (1.0 - progress)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def follows_max_steps(config: TrainingConfig) -> bool:
    """Return whether the learning rate depends on `max_steps`, so that a longer run has other steps from the start."""
    return config.lr_scheduler_type != "constant_with_warmup"


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Return the state of the optimizer as ``PARAMETER/exp_avg`` and so on; empty before the first step.

    The state is keyed by the names of parameters, so that it does not depend on the order of parameter groups.
    """
    tensors = {}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}/{key}"] = value
    return tensors


def empty_moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Return zeros with the names, shapes and shards of `optimizer_tensors` after a step, to read a checkpoint into."""
    tensors = {}
    for name, parameter in module.named_parameters():
        for key, shape in _moments(optimizer, parameter).items():
            like_parameter = shape == tuple(parameter.shape) and shape != ()
            tensors[f"{name}/{key}"] = torch.zeros_like(parameter.detach()) if like_parameter else torch.zeros(shape)
    return tensors


def load_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` returned. The optimizer takes the tensors over where their device and type fit.

    Raises:
        CheckpointError: a tensor is missing, unknown or of the wrong shape.
    """
    parameters = dict(module.named_parameters())
    shapes = {name: _moments(optimizer, parameter) for name, parameter in parameters.items()} if tensors else {}
    expected = {f"{name}/{key}" for name, moments in shapes.items() for key in moments}
    if expected != tensors.keys():
        odd = sorted(expected ^ tensors.keys())[0]
        raise CheckpointError(
            f"The optimizer's state does not fit this network: '{odd}' is missing or unknown. Resume with the same settings."
        )
    for name, moments in shapes.items():
        for key, shape in moments.items():
            tensor = tensors[f"{name}/{key}"]
            if tuple(tensor.shape) != shape:
                raise CheckpointError(
                    f"The optimizer's '{name}/{key}' has shape {tuple(tensor.shape)}, not {shape}. Resume with the same settings."
                )
    if not tensors:
        return
    names = {parameter: name for name, parameter in parameters.items()}
    ordered = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    # Where a step count belongs depends on the optimizer: a fused one keeps it on the device, others on the CPU.
    optimizer.load_state_dict(
        {
            "state": {
                number: {key: _placed(tensors[f"{name}/{key}"], parameters[name]) for key in shapes[name]}
                for number, name in enumerate(ordered)
            },
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )


def _placed(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole moment sharded as its parameter is, and anything else unchanged."""
    needs_shards = is_sharded(parameter) and not is_sharded(tensor) and tensor.shape == parameter.shape
    return like(tensor, parameter) if needs_shards else tensor


def _moments(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of what the optimizer stores for a parameter."""
    shape = tuple(parameter.shape)
    if not isinstance(optimizer, torch.optim.Adafactor):
        return {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
    if len(shape) < 2:
        return {"step": (), "variance": shape}
    return {"step": (), "row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}
