"""List the ways that compose.py measures to make a classifier for more classes than the generator's maximum.

Shapes: K classes of the task, G groups, M classes a group, I images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor

from benchmarks.choose.compose_setup import Case, Groups
from tina_framework.generator.compose import average_rows

__all__ = ["ENSEMBLE", "MERGED", "candidates"]

# Rows


def _row_of_first(groups: Groups, rows: list[Tensor]) -> Tensor:
    """Take row k from group k, whose first class it is."""
    return torch.stack([part[0] for part in rows])


def _without_shifts(groups: Groups, rows: list[Tensor]) -> Tensor:
    """Fit (row of class k in group g) = r_k + s_g by least squares, because softmax ignores a shift s_g of all rows."""
    count, width = 1 + max(max(group) for group in groups), rows[0].shape[1]
    total = count + len(groups)
    normal = torch.zeros(total, total, dtype=torch.float64)
    right = torch.zeros(total, width, dtype=torch.float64)
    for g, (group, own) in enumerate(zip(groups, rows, strict=True), start=count):
        members = torch.tensor(group)
        normal[members, members] += 1
        normal[members, g] = normal[g, members] = 1
        normal[g, g] = len(group)
        right[members] += own.double()
        right[g] = own.double().sum(dim=0)
    solution = torch.linalg.pinv(normal, hermitian=True) @ right
    rows_KD: Tensor = (solution[:count] + solution[count:].mean(dim=0)).float()
    return rows_KD


def _equalised(groups: Groups, rows: list[Tensor]) -> Tensor:
    """Scale the rows of each group about their mean to one size, the average size over groups."""
    means = [part.mean(dim=0, keepdim=True) for part in rows]
    sizes = torch.stack([(part - mean).square().mean().sqrt() for part, mean in zip(rows, means, strict=True)])
    scaled = [mean + (part - mean) * (sizes.mean() / size) for part, mean, size in zip(rows, means, sizes, strict=True)]
    return average_rows(groups, scaled, 1 + max(max(group) for group in groups))


ENSEMBLE = "ensemble, 4 random groupings"
"""The default of `compose=True`."""

MERGED = "merged, 4 random groupings"
"""The way of `compose="merge"`, which gives one network."""

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean log-softmax": lambda vote: vote.log_softmax(dim=1),
    "mean centred logits": lambda vote: vote - vote.mean(dim=1, keepdim=True),
}


def _once(make: Callable[[], list[Tensor]]) -> Callable[[], list[Tensor]]:
    return cache(make)


def _mean_vote(
    case: Case, groups: Groups, votes: Callable[[], list[Tensor]], score: Callable[[Tensor], Tensor]
) -> Tensor:
    return case.mean_vote(groups, votes(), score)


def candidates(case: Case, brief: bool) -> Iterator[tuple[str, int, Callable[[], Tensor]]]:
    """Yield label, number of generated networks, and a function that returns the logits.

    Args:
        case: one task.
        brief: yield only the two ways of the package and the references.
    """

    def one(flat: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: case.logits(flat())

    four = case.random(4)
    yield "selection", 0, one(case.selected)
    yield "selection on mean convolutions", 0, one(lambda: case.on_common(case.selected()))
    yield "direct", 1, one(case.direct)
    yield MERGED, len(four), lambda: case.answers(case.shipped("merge").network)
    yield ENSEMBLE, len(four), lambda: case.answers(case.shipped("ensemble").network)
    if brief:
        return
    for number in (1, 2, 8):
        groups = case.random(number)
        label = f"{number} random grouping{'s' * (number > 1)}"
        yield f"merged, {label}", len(groups), one(partial(case.merged, groups))
        yield f"ensemble, {label}", len(groups), partial(case.ensemble_logits, groups)
    votes = _once(lambda: case.votes(four))
    for how, score in SCORES.items():
        yield f"{ENSEMBLE}, {how}", len(four), partial(_mean_vote, case, four, votes, score)
    pairs = case.pairs()
    of_pairs = _once(lambda: case.votes(pairs))
    yield "pairs of blocks, ensemble", len(pairs), partial(case.ensemble_logits, pairs)
    for how, score in SCORES.items():
        yield f"pairs of blocks, {how}", len(pairs), partial(_mean_vote, case, pairs, of_pairs, score)
    yield "pairs of blocks, coupled", len(pairs), lambda: case.coupled(pairs, of_pairs())
    yield "pairs of blocks, merged", len(pairs), one(lambda: case.merged(pairs))
    for number in (1, 4):
        groups = case.similar(number)
        yield f"merged, {number} similar", len(groups), one(partial(case.merged, groups))
    mixed = case.random(2) + case.similar(2)
    yield "merged, 2 random and 2 similar", len(mixed), one(lambda: case.merged(mixed))
    near = case.neighbours()
    yield "merged, every class with its neighbours", len(near), one(lambda: case.merged(near))
    yield (
        "merged, every class with its neighbours, its own row only", len(near),
        one(lambda: case.merged(near, rows=_row_of_first)),
    )  # fmt: skip
    halves = case.random(4, case.setup.size // 2)
    yield "merged, 4 random groupings of half the size", len(halves), one(lambda: case.merged(halves))
    for label, rows in {"rows without shifts": _without_shifts, "rows equalised": _equalised}.items():
        yield f"{MERGED}, {label}", len(four), one(partial(case.merged, four, rows=rows))
    yield f"{MERGED}, on mean convolutions", len(four), one(lambda: case.on_common(case.merged(four)))
    yield f"{MERGED}, halfway to `selection`", len(four), one(lambda: (case.merged(four) + case.selected()) / 2)
