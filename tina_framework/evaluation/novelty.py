"""Checking whether generated networks are new: distances to training networks, shared mistakes, and spread over seeds.

Generators of weights tend to reproduce training networks, or to give the same network for every prompt (Zeng et al.,
*Generative Modeling of Weights: Generalization or Memorization?*, arXiv 2506.07998). A memorised network can have a
high accuracy, so the accuracy alone does not show it.

Distances are root mean squares of standardised differences. They use the shared tensors only, which have no class
axis, because class rows belong to other classes in every task. A distance of 1 is that of the zoo's p-Models from the
network that generation starts from. Shapes: G generated networks, M p-Models, S elements of shared tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.method import MethodUnavailable, Network
from tina_framework.prompts.encoded_task import encode_tasks

if TYPE_CHECKING:
    from tina_framework.evaluation.scoring import Scorer
    from tina_framework.interfaces.method import Context
    from tina_framework.zoo.tasks import Task

__all__ = ["Novelty", "ZooComparison", "measure_novelty", "nearest_distances", "overlap", "shared_mistakes", "verdict"]

TASKS = 50
MODELS = 400
SEEDS = 3

COPY = 0.5
"""A network is a likely copy if its distance to the nearest p-Model is below this share of the distance between a p-Model
and its nearest neighbour.

For comparison: a p-Model is a mean for its task plus training noise. Two p-Models differ by the noise of both, but a
p-Model differs from the mean by its own noise only, which is 1 / sqrt(2) = 0.7 of that. So a network without noise is not
taken for a copy."""

SAME = 0.1
"""Generated networks hardly depend on the task if they differ by less than this share of the distance between p-Models
of different tasks."""


@dataclass(frozen=True)
class Novelty:
    """The measured distances.

    Their unit is the distance of the p-Models from the base, the network that generation starts from.

    Attributes:
        tasks: how many generated networks were compared.
        models: how many p-Models were compared.
        to_base: median distance of generated networks from the base.
        to_nearest: median distance of a generated network to the nearest p-Model.
        between_models: median distance of a p-Model to the nearest other p-Model.
        over_tasks: mean distance of two networks generated for different tasks.
        models_over_tasks: the same of two p-Models.
        over_seeds: mean distance of two networks generated for the same task from different seeds.
        errors_nearest: intersection over union of the mistakes of a generated network and of the p-Model of the most
            similar training task. None if there is no such p-Model.
        errors_selection: the same with *selection*.
    """

    tasks: int
    models: int
    to_base: float
    to_nearest: float
    between_models: float
    over_tasks: float
    models_over_tasks: float
    over_seeds: float
    errors_nearest: float | None
    errors_selection: float | None

    def to_json(self) -> dict[str, Any]:
        rounded = {key: round(v, 4) if isinstance(v, float) else v for key, v in vars(self).items()}
        return rounded | {"verdict": verdict(self)}


def verdict(found: Novelty) -> str:
    """Return one sentence that sums up the distances."""
    near, spread = found.to_nearest / found.between_models, found.over_tasks / found.models_over_tasks
    if near < COPY:
        return (
            f"Likely copies: the distance of a generated network to the nearest p-Model is {near:.2f} of the distance "
            "between a p-Model and its nearest neighbour."
        )
    if spread < SAME:
        return (
            f"Hardly any difference between tasks: networks for different tasks differ by {spread:.2f} "
            "of what p-Models of different tasks do, in the tensors that all classes share."
        )
    return (
        f"No copies: the nearest p-Model is {near:.2f} times as far as p-Models are from one another, "
        f"and networks for different tasks differ by {spread:.2f} of what p-Models do."
    )


def nearest_distances(one_GS: Tensor, other_MS: Tensor | None = None) -> Tensor:
    """Return (G,) distances: from each row to the nearest row of `other_MS`. Without it: to the nearest other row of `one_GS`."""
    if other_MS is not None:
        return _distances(one_GS, other_MS).amin(dim=1)
    between = _distances(one_GS, one_GS)
    between.fill_diagonal_(float("inf"))
    return between.amin(dim=1)


def _distances(one_GS: Tensor, other_MS: Tensor) -> Tensor:
    # The faster way, by a matrix product, is imprecise for small distances between large vectors.
    exact = torch.cdist(one_GS.double(), other_MS.double(), compute_mode="donot_use_mm_for_euclid_dist")
    scaled: Tensor = exact / one_GS.shape[1] ** 0.5
    return scaled


def _mean_distance(rows_GS: Tensor) -> float:
    """Return the mean distance of two different rows."""
    count = len(rows_GS)
    return float(_distances(rows_GS, rows_GS).sum()) / (count * (count - 1))


def overlap(one: Tensor, other: Tensor) -> float:
    """Return intersection over union of two sets of mistakes, (M,) bool each; 0 if both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


class ZooComparison:
    """The p-Models of a zoo, standardised, to compare the shared tensors of other networks with theirs.

    Args:
        context: generator and zoo. Up to 400 p-Models are read.

    Raises:
        MethodUnavailable: there is no zoo with two p-Models, or all parameters belong to classes, so that no shared tensors
            can be compared.
    """

    def __init__(self, context: Context) -> None:
        spec, zoo = context.spec, context.need_zoo()
        self._shared = [name for name, axis in spec.class_axes.items() if axis is None]
        if not self._shared:
            raise MethodUnavailable(
                f"all parameters of '{spec.architecture.name}' belong to classes, so networks of different tasks cannot be compared"
            )
        entries = zoo.entries[:: max(1, len(zoo.entries) // MODELS)][:MODELS]
        if len(entries) < 2:
            raise MethodUnavailable(f"{len(entries)} p-Models are too few to compare")
        normalizer = context.generator.normalizer
        if normalizer.whitening is not None:
            # Distances are between networks, so all elements of a tensor count alike.
            read = [(zoo.flat(entry.id), len(entry.classes)) for entry in entries]
            normalizer = Normalizer.fit(spec, normalizer.base, [lambda: read])
        self._spec, self._normalizer = spec, normalizer
        self.models = torch.stack([self.standardised(zoo.flat(entry.id), len(entry.classes)) for entry in entries])

    def standardised(self, flat: Tensor, outputs: int) -> Tensor:
        """Return the standardised shared tensors (S,) of a network with so many outputs."""
        normalized = self._spec.unflatten(self._normalizer.normalize(flat.cpu().float(), outputs), outputs)
        return torch.cat([normalized[name].flatten() for name in self._shared])

    def between_models(self) -> float:
        """Return the median distance of a p-Model to the nearest other p-Model."""
        return float(nearest_distances(self.models).median())

    def to_nearest(self, networks: Sequence[Network]) -> float:
        """Return the median distance of a network to the nearest p-Model. Ensembles cannot be compared."""
        rows = torch.stack([self.standardised(network.flat, len(network.outputs)) for network in networks])
        return float(nearest_distances(rows, self.models).median())


def measure_novelty(context: Context, tasks: Sequence[Task], scorer: Scorer) -> Novelty:
    """Compare networks generated for up to 50 of the tasks with up to 400 p-Models.

    Args:
        context: generator, zoo, encoder, seed.
        tasks: tasks to choose from, evenly spaced. Only those of the most frequent class count are used.
        scorer: finds the mistakes of networks.

    Raises:
        MethodUnavailable: there is no zoo; there are fewer than two tasks or p-Models; or all parameters belong to classes,
            so that no shared tensors can be compared.
        TinaError: the tasks cannot be generated.
    """
    zoo = ZooComparison(context)
    counts = [len(task.classes) for task in tasks]
    count = max(sorted(set(counts), reverse=True), key=counts.count)
    fitting = [task for task in tasks if len(task.classes) == count]
    chosen = [fitting[i * len(fitting) // min(TASKS, len(fitting))] for i in range(min(TASKS, len(fitting)))]
    if len(chosen) < 2:
        raise MethodUnavailable(f"{len(chosen)} tasks are too few to compare")
    conditions = encode_tasks([task.classes for task in chosen], context.encoder, context.template)
    seeds = [context.seed + i for i in range(SEEDS)]
    flats = [
        context.generator.generate_parameters(conditions, SamplingOptions(seed=seed, compose="merge")) for seed in seeds
    ]
    generated = torch.stack([torch.stack([zoo.standardised(flat, count) for flat in drawn]) for drawn in flats])
    networks = [Network(flat, task.classes) for flat, task in zip(flats[0], chosen, strict=True)]
    return Novelty(
        tasks=len(chosen),
        models=len(zoo.models),
        to_base=float(generated[0].double().square().mean(dim=1).sqrt().median()),
        to_nearest=zoo.to_nearest(networks),
        between_models=zoo.between_models(),
        over_tasks=_mean_distance(generated[0]),
        models_over_tasks=_mean_distance(zoo.models),
        over_seeds=sum(_mean_distance(generated[:, i]) for i in range(len(chosen))) / len(chosen),
        errors_nearest=shared_mistakes(Nearest(context), networks, chosen, scorer),
        errors_selection=shared_mistakes(Selection(context), networks, chosen, scorer),
    )


def shared_mistakes(
    method: Nearest | Selection, networks: Sequence[Network], tasks: Sequence[Task], scorer: Scorer
) -> float | None:
    """Return the mean overlap of mistakes with another method's networks; None if the method has none.

    Args:
        method: the other method, not prepared.
        networks: one for each of `tasks`.
        tasks: the tasks.
        scorer: finds the mistakes of networks.
    """
    try:
        method.prepare(tasks)
    except MethodUnavailable:
        return None
    found = []
    for network, task, answer in zip(networks, tasks, method.parameters(tasks), strict=True):
        if isinstance(answer, Network):
            found.append(overlap(~scorer.correct(network, task.classes), ~scorer.correct(answer, task.classes)))
    return sum(found) / len(found) if found else None
