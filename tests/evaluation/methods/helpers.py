"""What the tests of evaluation methods share: one task, and the networks that a method gives for it."""

from __future__ import annotations

from typing import Any

import torch

from tina_framework.interfaces.method import Context, Method, Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


def answer(method: Method, task: Task) -> Any:
    """Return what a method gives for one task."""
    method.prepare([task])
    return method.parameters([task])[0]


def state(context: Context, network: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of the network that a method gave, by name."""
    assert isinstance(network, Network)
    return context.spec.unflatten(network.flat, len(network.outputs))


def entry_state(context: Context, zoo: Zoo, number: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a p-Model of the zoo, which has three classes."""
    return context.spec.unflatten(zoo.flat(number), 3)
