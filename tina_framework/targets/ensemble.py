"""`Ensemble`: several networks as one, each knowing some of the classes. The logit of a class is the mean over those that know it.

Shapes: N inputs, K classes, G members, M classes of a member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["Ensemble", "build_network", "checked_groups", "member_names"]

Groups = tuple[tuple[int, ...], ...]


class Ensemble(nn.Module):
    """G networks of one architecture: inputs (N, ...) -> logits (N, K).

    Members run one after the other: small networks are faster that way on a CPU than under `torch.func.vmap`, and it works
    whatever their forward pass does.

    Args:
        members: member g has one output for each of `groups[g]`, in that order.
        groups: the classes of each member, numbers 0..K-1.
        num_classes: K; every class is known to at least one member.

    Raises:
        ConfigError: `groups` do not fit.
    """

    def __init__(self, members: Sequence[nn.Module], groups: Sequence[Sequence[int]], num_classes: int) -> None:
        super().__init__()
        self.groups = checked_groups(groups, num_classes)
        if len(members) != len(self.groups):
            raise ConfigError(f"{len(members)} networks were given for {len(self.groups)} groups; give one each.")
        self.num_classes = num_classes
        self.members = nn.ModuleList(members)
        outputs = torch.tensor([k for group in self.groups for k in group])
        # Derived from the groups, so not saved; buffers, so that they move along with the members.
        self.outputs: Tensor
        self.register_buffer("outputs", outputs, persistent=False)
        self.shares: Tensor
        self.register_buffer("shares", 1.0 / torch.bincount(outputs, minlength=num_classes), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, K)"""
        votes = torch.cat([member(inputs) for member in self.members], dim=1)
        total = votes.new_zeros(len(votes), self.num_classes).index_add(1, self.outputs, votes)
        return total * self.shares.to(total.dtype)


def checked_groups(groups: Any, num_classes: int) -> Groups:
    """The groups as tuples.

    Args:
        groups: what may have been read from a file.
        num_classes: K.

    Raises:
        ConfigError: they are no lists of class numbers, a number is out of range or twice in a group, or a class is in no group.
    """
    if not isinstance(groups, list | tuple) or not groups or not all(isinstance(g, list | tuple) and g for g in groups):
        raise ConfigError(f"Members are {groups!r:.80}, not lists of class numbers.")
    for place, group in enumerate(groups):
        wrong = [k for k in group if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < num_classes]
        if wrong:
            raise ConfigError(f"Member {place} has class number {wrong[0]!r}; they go from 0 to {num_classes - 1}.")
        if len(set(group)) != len(group):
            raise ConfigError(f"Member {place} has a class number twice: {list(group)}.")
    if lost := sorted(set(range(num_classes)) - {k for group in groups for k in group}):
        raise ConfigError(f"Class number {lost[0]} is in no member; every class must be in at least one.")
    return tuple(tuple(group) for group in groups)


def member_names(place: int, names: Sequence[str]) -> list[str]:
    """What the parameters of a member are called in the ensemble's state."""
    return [f"members.{place}.{name}" for name in names]


def build_network(
    architecture: TargetArchitecture,
    num_classes: int,
    state: Mapping[str, Tensor],
    groups: Sequence[Sequence[int]] | None = None,
) -> nn.Module:
    """A network around copies of its parameters, in float32, on their device.

    Args:
        architecture: builds it, or its members.
        num_classes: K.
        state: its parameters, under the architecture's own names; of an ensemble under those of `member_names`.
        groups: the classes of each member; None: one network for all classes.

    Raises:
        ConfigError: `groups` do not fit.
    """
    with torch.device("meta"):
        counts = [num_classes] if groups is None else [len(g) for g in checked_groups(groups, num_classes)]
        modules = [architecture.build(count) for count in counts]
    network = modules[0] if groups is None else Ensemble(modules, groups, num_classes)
    # Copies: not views of a file or of a batch.
    copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
    network.load_state_dict(copies, assign=True)
    return network.to(next(iter(copies.values())).device)
