"""Shard a denoiser that is too large for one device over the processes of a run: FSDP2 of torch.

`accelerate launch --use_fsdp --fsdp_version 2` asks for it. Accelerate starts and connects the processes, but this module calls
`torch.distributed.fsdp.fully_shard` itself: Accelerate 1.15 ignores FSDP on CPUs, so its own call could not be tested without
several GPUs. The same code runs on CPUs and GPUs.

Each process holds 1 / n of every parameter, gradient, moment and average. A block's parameters are gathered while it computes.
They are gathered in float32, so losses are those of a run without sharding, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError

__all__ = ["Sharding", "check_settings", "full", "is_sharded", "like", "local", "shard", "take_request"]

_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Sharding:
    """How to shard.

    Attributes:
        reshard_after_forward: whether a block's gathered parameters are freed after its forward pass, and gathered again for its
            backward pass. That saves memory and takes time.
    """

    reshard_after_forward: bool = True


def take_request(environment: MutableMapping[str, str] = os.environ) -> Sharding | None:
    """Return how the launch asks to shard, and remove the request, so that Accelerate does not shard a second time.

    Args:
        environment: what `accelerate launch` sets: ``ACCELERATE_USE_FSDP``, ``FSDP_VERSION`` and so on.

    Returns:
        None if the launch does not ask for FSDP.

    Raises:
        ConfigError: it asks for version 1, or for something that this package does not do.
    """
    if not _is_true(environment, "ACCELERATE_USE_FSDP"):
        return None
    version = environment.get("FSDP_VERSION", "1")
    if version != "2":
        raise ConfigError(
            f"This run was launched with FSDP version {version}, but only version 2 works here. Add --fsdp_version 2 to "
            "`accelerate launch`, or set FSDP_VERSION=2."
        )
    if _is_true(environment, "FSDP_OFFLOAD_PARAMS"):
        raise ConfigError("FSDP with --fsdp_offload_params is not supported. Leave it out, or use more processes.")
    if _is_true(environment, "FSDP_ACTIVATION_CHECKPOINTING"):
        raise ConfigError(
            "--fsdp_activation_checkpointing is not supported. Use the training setting gradient_checkpointing, which does the "
            "same."
        )
    del environment["ACCELERATE_USE_FSDP"]
    reshard = environment.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower()
    return Sharding(reshard in (*_TRUE, "full_shard"))


def check_settings(config: TrainingConfig) -> None:
    """Check that training with these settings works on sharded weights.

    Raises:
        ConfigError: it does not.
    """
    if config.optim == "adafactor":
        raise ConfigError(
            "optim is adafactor, which torch cannot run on sharded weights. Use adamw, whose state is sharded, too, or start "
            "without FSDP."
        )
    # Its loss scaler works on GPUs only, so sharded weights were never tried with it.
    if config.mixed_precision == "fp16":
        raise ConfigError(
            "mixed_precision is fp16, which is not supported with sharded weights. Use bf16, or start without FSDP."
        )


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in _TRUE


def shard(denoiser: Denoiser, sharding: Sharding, device: torch.device, processes: int) -> None:
    """Shard a denoiser in place: each block for itself, and the rest together.

    Every process must call this with the same weights. Parameters become `DTensor` objects on the device. A denoiser on the CPU
    is moved block by block, so a device never holds all of it.

    Args:
        denoiser: the denoiser, with its initial weights.
        sharding: how to shard.
        device: the device of this process.
        processes: number of processes; each gets one shard.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes,))
    for stack in (denoiser.encoder, denoiser.decoder):
        for block in stack.blocks:
            fully_shard(block, mesh=mesh, reshard_after_forward=sharding.reshard_after_forward)
    fully_shard(denoiser, mesh=mesh)


def is_sharded(what: nn.Module | Tensor) -> bool:
    """Return whether a tensor, or the parameters of a module, are sharded."""
    tensors = what.parameters() if isinstance(what, nn.Module) else [what]
    return any(hasattr(tensor, "full_tensor") for tensor in tensors)


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds. It shares memory with the tensor."""
    part: Any = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    found: Tensor = part
    return found


def full(tensor: Tensor) -> Tensor:
    """Return the whole tensor. All processes must call this for a sharded one."""
    whole: Any = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    found: Tensor = whole
    return found


def like(whole: Tensor, reference: Tensor) -> Tensor:
    """Return a whole tensor, which every process has, sharded as another tensor is. Nothing is sent.

    Args:
        whole: the tensor.
        reference: a tensor of the same shape, sharded or not.
    """
    if not hasattr(reference, "placements"):
        return whole.to(reference.device)
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = reference
    part: Tensor = distribute_tensor(
        whole.to(local(reference).device), sharded.device_mesh, sharded.placements, src_data_rank=None
    )
    return part
