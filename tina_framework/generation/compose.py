"""One network for more classes than a generator makes: groups of classes, a generated network each, merged into one.

Shapes: K classes of the task, G groups, M classes a group, N parameters at K or M classes, D elements of a class row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from tina_framework.prompts.resolve import Condition
from tina_framework.spec import ParameterSpec

__all__ = ["draw_groups", "fit_rows", "merge", "part", "split_rows"]


def draw_groups(keys: Sequence[str], size: int, num_groupings: int, seed: int) -> list[list[int]]:
    """Random groups of classes; all together they hold every class at least `num_groupings` times.

    For each grouping the classes are laid out on a circle, in an order that depends on seed, grouping and their keys alone, and as few
    windows as cover it are taken at even distances. So every group is full, and where the count is no multiple of `size`,
    neighbours overlap.

    Args:
        keys: K folded names, in any order.
        size: M, at most K.
        num_groupings: how often to start anew.
        seed: any integer.

    Returns:
        ceil(K / M) groups for each grouping, in turn; each has M indices into `keys`. The same sets, in the same turn, in whatever order
        the keys come.
    """
    count = len(keys)
    windows = -(-count // size)
    groups = []
    for number in range(num_groupings):
        order = sorted(range(count), key=lambda k: _place(seed, number, keys[k]))
        starts = [window * count // windows for window in range(windows)]
        groups += [[order[(start + i) % count] for i in range(size)] for start in starts]
    return groups


def _place(seed: int, number: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{number}\n{key}".encode()).digest()


def part(condition: Condition, group: Sequence[int]) -> Condition:
    """The task with some of its classes only, in the given order."""
    numbers = list(group)
    return Condition(
        tuple(condition.class_names[k] for k in numbers),
        tuple(condition.keys[k] for k in numbers),
        condition.vectors[numbers],
    )


def merge(spec: ParameterSpec, groups: Sequence[Sequence[int]], flats: Sequence[Tensor], num_classes: int) -> Tensor:
    """The networks of groups of classes as one: shared tensors are averaged over the groups, a class row over the groups of its class.

    Args:
        spec: the architecture's parameters.
        groups: G lists of class numbers 0..K-1, each class in at least one.
        flats: G flat vectors (N_M,), slot j of group g for class `groups[g][j]`.
        num_classes: K.

    Returns:
        (N_K,)
    """
    pairs = list(zip(flats, groups, strict=True))
    shared = torch.stack([flat[_places(spec, len(group), flat) < 0] for flat, group in pairs])
    rows_KD = fit_rows(groups, [split_rows(spec, flat, len(group)) for flat, group in pairs], num_classes)
    places = _places(spec, num_classes, flats[0])
    merged_N = flats[0].new_empty(len(places))
    merged_N[places < 0] = shared.mean(dim=0)
    for k, row in enumerate(rows_KD):
        merged_N[places == k] = row
    return merged_N


def split_rows(spec: ParameterSpec, flat_N: Tensor, num_classes: int) -> Tensor:
    """(K, D): for each class its slice of every tensor that has a class axis, in parameter order."""
    places = _places(spec, num_classes, flat_N)
    return torch.stack([flat_N[places == k] for k in range(num_classes)])


def fit_rows(groups: Sequence[Sequence[int]], rows: Sequence[Tensor], num_classes: int) -> Tensor:
    """(K, D): the mean of each class's rows, from G tensors (M, D)."""
    total = rows[0].new_zeros(num_classes, rows[0].shape[1])
    number = rows[0].new_zeros(num_classes, 1)
    for group, part_MD in zip(groups, rows, strict=True):
        members = torch.tensor(list(group), device=total.device)
        total[members] += part_MD
        number[members] += 1
    return total / number


def _places(spec: ParameterSpec, num_classes: int, like: Tensor) -> Tensor:
    return spec.flat_class(num_classes).to(like.device)
