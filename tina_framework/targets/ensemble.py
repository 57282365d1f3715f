"""Combine several networks, each for some of the classes, into one. The logit of a class is the mean over its networks.

Shapes: N inputs, K classes, G members, M classes of a member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError, TinaError, shorten
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.targets.module_copies import copy_with_parameters

__all__ = ["Ensemble", "build_network", "checked_groups", "member_names"]

Groups = tuple[tuple[int, ...], ...]


class Ensemble(nn.Module):
    """G networks of one architecture as one module: inputs (N, ...) -> logits (N, K).

    Members run one after the other. Small networks are faster that way on a CPU than under `torch.func.vmap`, and any forward
    pass works.

    Args:
        members: G networks; member g has one output for each class in `groups[g]`, in that order.
        groups: the class indices 0..K-1 of each member.
        num_classes: K; every class belongs to at least one member.

    Raises:
        ConfigError: `groups` do not fit the members or the classes.
    """

    def __init__(self, members: Sequence[nn.Module], groups: Sequence[Sequence[int]], num_classes: int) -> None:
        super().__init__()
        self.groups = checked_groups(groups, num_classes)
        if len(members) != len(self.groups):
            raise ConfigError(f"{len(members)} networks were given for {len(self.groups)} groups; give one each.")
        self.num_classes = num_classes
        self.members = nn.ModuleList(members)
        outputs = torch.tensor([k for group in self.groups for k in group])
        # Buffers, so that they move to a device with the members; not saved, because the groups determine them.
        self.outputs: Tensor
        self.register_buffer("outputs", outputs, persistent=False)
        self.shares: Tensor
        self.register_buffer("shares", 1.0 / torch.bincount(outputs, minlength=num_classes), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, K)."""
        logits = torch.cat([member(inputs) for member in self.members], dim=1)
        total = logits.new_zeros(logits.shape[0], self.num_classes).index_add(1, self.outputs, logits)
        return total * self.shares.to(total.dtype)


def checked_groups(groups: Any, num_classes: int) -> Groups:
    """Check the classes of an ensemble's members, and return them as tuples.

    Args:
        groups: the class indices of each member, possibly read from a file.
        num_classes: K.

    Raises:
        ConfigError: they are not lists of class indices, an index is out of range or twice in a group, or a class is missing.
    """
    if not isinstance(groups, list | tuple) or not groups or not all(isinstance(g, list | tuple) and g for g in groups):
        raise ConfigError(
            f"Members are {groups!r:.80}, not lists of class indices; give one non-empty list for each member."
        )
    for index, group in enumerate(groups):
        wrong = [k for k in group if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < num_classes]
        if wrong:
            raise ConfigError(
                f"Member {index} has the class index {shorten(wrong[0])}; give whole numbers from 0 to {num_classes - 1}."
            )
        if len(set(group)) != len(group):
            raise ConfigError(f"Member {index} has a class index twice: {list(group)}; list each class once.")
    if lost := sorted(set(range(num_classes)) - {k for group in groups for k in group}):
        raise ConfigError(f"Class index {lost[0]} is in no member; add it to at least one.")
    return tuple(tuple(group) for group in groups)


def member_names(index: int, names: Sequence[str]) -> list[str]:
    """Return the names of a member's parameters in the state of the ensemble."""
    return [f"members.{index}.{name}" for name in names]


def build_network(
    architecture: TargetArchitecture,
    num_classes: int,
    state: Mapping[str, Tensor],
    groups: Sequence[Sequence[int]] | None = None,
    template: Callable[[int], nn.Module] | None = None,
) -> nn.Module:
    """Return a network with copies of the given parameters, in float32, on their device.

    Args:
        architecture: builds the network, or each member of an ensemble.
        num_classes: K.
        state: the parameters, under the architecture's names; for an ensemble under those of `member_names`.
        groups: the class indices of each member of an ensemble; None: one network for all classes.
        template: returns a module that the architecture built on the meta device, for a class count (`ParameterSpec.template`).
            It is copied, which is much faster than building one. None: build the network anew.

    Raises:
        ConfigError: `groups` do not fit the classes.
    """
    if template is not None:
        try:
            return _copied_network(num_classes, state, groups, template)
        except TinaError:
            raise
        except Exception:  # a module may hold what cannot be copied, such as a lock; it is built anew then
            pass
    # Tensors made in inference mode could never be trained on.
    with torch.inference_mode(False), torch.device("meta"):
        counts = [num_classes] if groups is None else [len(g) for g in checked_groups(groups, num_classes)]
        modules = [architecture.build(count) for count in counts]
    network = modules[0] if groups is None else Ensemble(modules, groups, num_classes)
    # Copies, so that the network keeps no file mapped and no batch of other networks in memory.
    with torch.inference_mode(False):
        copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
        network.load_state_dict(copies, assign=True)
        return network.to(next(iter(copies.values())).device)


def _copied_network(
    num_classes: int,
    state: Mapping[str, Tensor],
    groups: Sequence[Sequence[int]] | None,
    template: Callable[[int], nn.Module],
) -> nn.Module:
    with torch.inference_mode(False):
        copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
        if groups is None:
            return copy_with_parameters(template(num_classes), copies)
        members = []
        for index, group in enumerate(checked_groups(groups, num_classes)):
            module = template(len(group))
            names = [name for name, _ in module.named_parameters()]
            own = {name: copies[long] for name, long in zip(names, member_names(index, names), strict=True)}
            members.append(copy_with_parameters(module, own))
    return Ensemble(members, groups, num_classes).to(next(iter(copies.values())).device)
