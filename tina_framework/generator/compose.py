"""Classifiers for more classes than a generator makes: groups of classes and a generated network each, kept apart or merged into one.

Shapes: K classes of the task, G groups, M classes a group, N parameters at K or M classes, D elements of a class row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.generator.batching import OnProgress
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.resolve import Condition
from tina_framework.targets.ensemble import member_names

__all__ = [
    "GROUPINGS",
    "Composition",
    "How",
    "compositions",
    "draw_groups",
    "ensemble_state",
    "fit_rows",
    "how_to_compose",
    "merge",
    "part",
    "split_rows",
]

GROUPINGS = 4
"""How often the classes are grouped anew; eight make an ensemble twice as large and little better (docs/guide/composing.md)."""

How = Literal["ensemble", "merge"]


def how_to_compose(compose: bool | str) -> How | None:
    """The way that is asked for; None: none, so that too many classes are refused.

    Args:
        compose: False, True (an ensemble), ``ensemble`` or ``merge``.

    Raises:
        ConfigError: it is something else.
    """
    if compose is False:
        return None
    if compose is True or compose == "ensemble":
        return "ensemble"
    if compose == "merge":
        return "merge"
    raise ConfigError(f"compose is {compose!r}; choose True or 'ensemble', 'merge', or False.")


@dataclass(frozen=True, eq=False)
class Composition:
    """What was generated for one classifier.

    Attributes:
        num_classes: K.
        groups: G lists of class numbers 0..K-1, each class in at least one; one list where the task is generated as it is.
        flats: G flat vectors (N_M,), slot j of network g for class `groups[g][j]`.
    """

    num_classes: int
    groups: Sequence[Sequence[int]]
    flats: Sequence[Tensor]

    @property
    def is_composed(self) -> bool:
        return len(self.groups) > 1

    def merged(self, spec: ParameterSpec) -> Tensor:
        """(N_K,) parameters of one network; see `merge`."""
        return merge(spec, self.groups, self.flats, self.num_classes) if self.is_composed else self.flats[0]

    def record(self, how: How | None) -> dict[str, Any]:
        """What a classifier remembers of how it was composed: nothing if it was generated as it is."""
        if not self.is_composed:
            return {}
        classes = len(self.groups[0])
        networks = {"networks": len(self.groups), "classes": classes, "groupings": GROUPINGS}
        return {"composed": {"method": how, **networks}}


def compositions(
    conditions: Sequence[Condition],
    generate: Callable[..., list[Tensor]],
    largest: int,
    seed: int,
    num_samples: int,
    on_progress: OnProgress | None = None,
) -> list[Composition]:
    """The networks for tasks of any number of classes.

    Args:
        conditions: the tasks; those of at most `largest` classes are generated as they are.
        generate: tasks of at most `largest` classes, and `on_progress`, to `num_samples` flat vectors each, task by task.
        largest: the greatest class count that can be generated.
        seed: of the groups; sample i of a group has part in sample i of the result.
        num_samples: classifiers a task.
        on_progress: called with (models done, models in all); a composed one counts as its share of the networks.

    Returns:
        `num_samples` for each task, task by task.
    """
    plans = [
        draw_groups(condition.keys, largest, GROUPINGS, seed)
        if len(condition) > largest
        else [list(range(len(condition)))]
        for condition in conditions
    ]
    wanted = [
        part(condition, group) if len(groups) > 1 else condition
        for condition, groups in zip(conditions, plans, strict=True)
        for group in groups
    ]

    def progress(done: int, total: int) -> None:
        if on_progress is not None:
            models = len(conditions) * num_samples
            on_progress(done * models // total, models)

    flats = iter(generate(wanted, on_progress=progress))
    made = []
    for condition, groups in zip(conditions, plans, strict=True):
        by_group = [[next(flats) for _ in range(num_samples)] for _ in groups]
        made += [Composition(len(condition), groups, networks) for networks in zip(*by_group, strict=True)]
    return made


def ensemble_state(spec: ParameterSpec, groups: Sequence[Sequence[int]], flats: Sequence[Tensor]) -> dict[str, Tensor]:
    """The networks' tensors under the names that `tina_framework.targets.ensemble.Ensemble` has for them; arguments as of `merge`."""
    state: dict[str, Tensor] = {}
    for place, (flat, group) in enumerate(zip(flats, groups, strict=True)):
        own = spec.unflatten(flat, len(group))
        state |= dict(zip(member_names(place, list(own)), own.values(), strict=True))
    return state


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
