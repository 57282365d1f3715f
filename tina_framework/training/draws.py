"""What objectives draw on the host, and how it gets to the device: packed into one upload for each type of number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Draws", "place"]

_ALIGNMENT = 32
"""Elements. Kernels read memory that starts at a multiple of 128 bytes fastest."""


@dataclass(frozen=True)
class Draws:
    """What an objective draws for some examples of a step.

    It follows from the seed, the step and the places of the examples. So it may be drawn ahead of time and in any thread.

    Attributes:
        step: the optimizer step.
        indices: places of the examples in the global batch.
        tensors: name -> tensor, which nobody changes in place. On the host as drawn, on the device after `place`.
    """

    step: int
    indices: Sequence[int]
    tensors: dict[str, Tensor]


def place(draws: Sequence[Draws], device: torch.device) -> list[Draws]:
    """Return draws with their tensors on a device, with one upload for each type of number.

    On a GPU a copy costs the host more than the bytes do, so many small ones would keep the GPU waiting. On the CPU the draws are
    returned unchanged.
    """
    if device.type == "cpu":
        return list(draws)
    names = [(number, name) for number, each in enumerate(draws) for name in each.tensors]
    placed: list[dict[str, Tensor]] = [{} for _ in draws]
    for dtype in sorted({draws[number].tensors[name].dtype for number, name in names}, key=str):
        wanted = [(number, name) for number, name in names if draws[number].tensors[name].dtype == dtype]
        tensors = [draws[number].tensors[name] for number, name in wanted]
        for (number, name), tensor in zip(wanted, _upload(tensors, device), strict=True):
            placed[number][name] = tensor
    return [replace(each, tensors=tensors) for each, tensors in zip(draws, placed, strict=True)]


def _upload(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return tensors of one type on a device, as views of one memory."""
    starts, total = [], 0
    for tensor in tensors:
        starts.append(total)
        total += -(-tensor.numel() // _ALIGNMENT) * _ALIGNMENT
    # From pinned memory the copy runs beside the host. torch does not reuse this memory before the copy is done.
    packed = torch.empty(total, dtype=tensors[0].dtype, pin_memory=device.type == "cuda")
    for start, tensor in zip(starts, tensors, strict=True):
        packed[start : start + tensor.numel()] = tensor.flatten()
    there = packed.to(device, non_blocking=True)
    return [
        there[start : start + tensor.numel()].view(tensor.shape) for start, tensor in zip(starts, tensors, strict=True)
    ]
