"""Classifiers for more classes than one generated network has: group the classes, generate a network for each group, then
keep the networks as an ensemble or merge them into one.

Shapes: K classes of the task, G groups, M classes a group, N parameters at K or M classes, D elements of a class row.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.generator.options import ComposeMethod, SamplingOptions
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.targets.ensemble import member_names

__all__ = [
    "GROUPINGS",
    "GeneratedNetworks",
    "average_rows",
    "draw_groups",
    "ensemble_state",
    "generate_networks",
    "merge_networks",
    "select_classes",
    "split_rows",
]

GROUPINGS = 4
"""How many times the classes are grouped. Eight make the ensemble twice as large and little better (docs/experiments/composing.md)."""


@dataclass(frozen=True, eq=False)
class GeneratedNetworks:
    """The networks generated for one classifier: one, or one for each group of its classes.

    Attributes:
        num_classes: K.
        groups: G lists of class numbers 0..K-1, each class in at least one; a single list if one network has all classes.
        flats: G flat vectors (N_M,); class slot j of network g belongs to class `groups[g][j]`.
    """

    num_classes: int
    groups: Sequence[Sequence[int]]
    flats: Sequence[Tensor]

    @property
    def is_composed(self) -> bool:
        """Whether there are several networks."""
        return len(self.groups) > 1

    def merged(self, spec: ParameterSpec) -> Tensor:
        """Return the parameters (N_K,) of one network; see `merge_networks`."""
        return merge_networks(spec, self.groups, self.flats, self.num_classes) if self.is_composed else self.flats[0]

    def record(self, method: ComposeMethod | None) -> dict[str, Any]:
        """Return what a classifier's provenance says about composing; empty for a single network."""
        if not self.is_composed:
            return {}
        classes = len(self.groups[0])
        networks = {"networks": len(self.groups), "classes": classes, "groupings": GROUPINGS}
        return {"composed": {"method": method, **networks}}


def generate_networks(
    tasks: Sequence[EncodedTask],
    options: SamplingOptions,
    sample: Callable[[Sequence[EncodedTask], SamplingOptions], list[Tensor]],
    max_classes: int,
) -> list[GeneratedNetworks]:
    """Generate the networks of tasks with any number of classes.

    Args:
        tasks: the tasks; one of more than `max_classes` classes is split into groups of that size.
        options: the seed also draws the groups, and sample i of a classifier consists of sample i of each group.
            Progress counts classifiers: a composed one advances it with each of its networks.
        sample: returns `num_samples` flat vectors for each task of at most `max_classes` classes, task by task.
        max_classes: the most classes one network has.

    Returns:
        `num_samples` for each task, task by task.
    """
    groups_of_tasks = [
        draw_groups(task.keys, max_classes, GROUPINGS, options.seed)
        if len(task) > max_classes
        else [list(range(len(task)))]
        for task in tasks
    ]
    group_tasks = [
        select_classes(task, group) if len(groups) > 1 else task
        for task, groups in zip(tasks, groups_of_tasks, strict=True)
        for group in groups
    ]

    def progress(done: int, total: int) -> None:
        if options.on_progress is not None:
            models = len(tasks) * options.num_samples
            options.on_progress(done * models // total, models)

    flats = iter(sample(group_tasks, dataclasses.replace(options, on_progress=progress)))
    generated = []
    for task, groups in zip(tasks, groups_of_tasks, strict=True):
        by_group = [[next(flats) for _ in range(options.num_samples)] for _ in groups]
        generated += [GeneratedNetworks(len(task), groups, networks) for networks in zip(*by_group, strict=True)]
    return generated


def ensemble_state(spec: ParameterSpec, groups: Sequence[Sequence[int]], flats: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the state dict of an `Ensemble` (see `tina_framework.targets.ensemble`) of these networks.

    Args:
        spec, groups, flats: as for `merge_networks`.
    """
    state: dict[str, Tensor] = {}
    for place, (flat, group) in enumerate(zip(flats, groups, strict=True)):
        member = spec.unflatten(flat, len(group))
        state |= dict(zip(member_names(place, list(member)), member.values(), strict=True))
    return state


def draw_groups(keys: Sequence[str], size: int, num_groupings: int, seed: int) -> list[list[int]]:
    """Draw random groups of classes of equal size that hold every class at least `num_groupings` times.

    For each grouping the classes are put on a circle in a random order, and as few windows of `size` classes as cover the
    circle are laid at even distances. Where the class count is not a multiple of `size`, neighbouring windows overlap, so
    that every group is full.

    Args:
        keys: K normalised class names, in any order.
        size: M, at most K.
        num_groupings: how many times the classes are grouped.
        seed: any integer.

    Returns:
        ceil(K / M) groups for each grouping, one grouping after the other; each group has M indices into `keys`. The groups
        depend on the set of keys, not on their order.
    """
    count = len(keys)
    windows = -(-count // size)
    groups = []
    for number in range(num_groupings):
        order = sorted(range(count), key=lambda k: _random_rank(seed, number, keys[k]))
        starts = [window * count // windows for window in range(windows)]
        groups += [[order[(start + i) % count] for i in range(size)] for start in starts]
    return groups


def _random_rank(seed: int, grouping: int, key: str) -> bytes:
    # A hash instead of a random number generator: a class's rank does not depend on which other classes there are.
    return hashlib.sha256(f"{seed}\n{grouping}\n{key}".encode()).digest()


def select_classes(task: EncodedTask, group: Sequence[int]) -> EncodedTask:
    """Return the task that has only these classes, in the given order."""
    numbers = list(group)
    return EncodedTask(
        tuple(task.class_names[k] for k in numbers),
        tuple(task.keys[k] for k in numbers),
        task.vectors[numbers],
    )


def merge_networks(
    spec: ParameterSpec, groups: Sequence[Sequence[int]], flats: Sequence[Tensor], num_classes: int
) -> Tensor:
    """Average networks for groups of classes into one network for all classes.

    Shared tensors are averaged over all groups, and a class's row over the groups that have this class.

    Args:
        spec: the architecture's parameters.
        groups: G lists of class numbers 0..K-1, each class in at least one.
        flats: G flat vectors (N_M,); class slot j of network g belongs to class `groups[g][j]`.
        num_classes: K.

    Returns:
        (N_K,)
    """
    pairs = list(zip(flats, groups, strict=True))
    shared = torch.stack([flat[_class_of_parameter(spec, len(group), flat) < 0] for flat, group in pairs])
    rows_KD = average_rows(groups, [split_rows(spec, flat, len(group)) for flat, group in pairs], num_classes)
    class_N = _class_of_parameter(spec, num_classes, flats[0])
    merged_N = flats[0].new_empty(len(class_N))
    merged_N[class_N < 0] = shared.mean(dim=0)
    for k, row in enumerate(rows_KD):
        merged_N[class_N == k] = row
    return merged_N


def split_rows(spec: ParameterSpec, flat_N: Tensor, num_classes: int) -> Tensor:
    """Return the class rows (K, D): each class's slice of every tensor that has a class axis, in parameter order."""
    class_N = _class_of_parameter(spec, num_classes, flat_N)
    return torch.stack([flat_N[class_N == k] for k in range(num_classes)])


def average_rows(groups: Sequence[Sequence[int]], rows: Sequence[Tensor], num_classes: int) -> Tensor:
    """Return the mean row of each class (K, D), from the rows (M, D) of each of G groups."""
    total = rows[0].new_zeros(num_classes, rows[0].shape[1])
    number = rows[0].new_zeros(num_classes, 1)
    for group, rows_MD in zip(groups, rows, strict=True):
        members = torch.tensor(list(group), device=total.device)
        total[members] += rows_MD
        number[members] += 1
    return total / number


def _class_of_parameter(spec: ParameterSpec, num_classes: int, like: Tensor) -> Tensor:
    """The class slot of each parameter (N,), -1 for shared ones, on the device of `like`."""
    return spec.flat_class(num_classes).to(like.device)
