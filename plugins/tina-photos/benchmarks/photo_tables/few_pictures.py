"""Methods that see a few photographs of each class, and tina on the same photographs.

Each task divides the photographs of a class at random: 20 to learn from, the rest to measure. Methods with five photographs use the
first five of the 20.

Shapes: S photographs to learn from, K classes, D = 1,280 features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from photo_tables.photographs import Photographs
from photo_tables.tasks import Logits, Task
from tina_framework import Generator
from tina_framework.classifier.fine_tuning.data import FineTuneData
from tina_framework.classifier.fine_tuning.settings import HeadSettings
from tina_framework.errors import PromptWarning

__all__ = [
    "POOL",
    "Learner",
    "Split",
    "class_means",
    "divide",
    "few_accuracies",
    "logistic_regression",
    "name_and_pictures",
]

POOL = 20

Learner = Callable[[Task, Tensor, Tensor], Callable[[Tensor], Tensor]]
"""(task, features (S, D), slots (S,)) -> a function from features to logits."""

_SCALE = 30.0
"""Features of length 1 times this: then a regression with a small penalty can be sure of its answers."""


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of a task's photographs: `learn` (K, POOL) to learn from, `measure` (N,) with `slots` (N,) to measure."""

    learn: Tensor
    measure: Tensor
    slots: Tensor


def divide(task: Task, photographs: Photographs, seed: int) -> Split:
    """Divide the photographs of a task's classes at random."""
    draws = torch.Generator().manual_seed(seed)
    learn, measure, slots = [], [], []
    for slot, label in enumerate(task):
        rows = (photographs.labels_N == label).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=draws)]
        if len(rows) <= POOL:
            raise ValueError(
                f"Class {photographs.classes[label]} has {len(rows)} photographs; more than {POOL} are needed."
            )
        learn.append(rows[:POOL])
        measure.append(rows[POOL:])
        slots.append(torch.full((len(rows) - POOL,), slot))
    return Split(torch.stack(learn), torch.cat(measure), torch.cat(slots))


def few_accuracies(
    learner: Learner | None,
    without: Logits | None,
    tasks: Sequence[Task],
    photographs: Photographs,
    count: int,
    seed: int,
) -> list[float]:
    """Return the accuracy on each task, in percent, on the photographs that no method learns from.

    Args:
        learner: a method that learns from `count` photographs a class; None: measure `without`, which learns from none.
        without: see `learner`.
        tasks: the tasks.
        photographs: the photographs.
        count: 1 to 20.
        seed: of the division. Task i of every method has the same one.
    """
    found = []
    for number, task in enumerate(tasks):
        split = divide(task, photographs, seed + number)
        shown = photographs.features_NE[split.measure]
        if learner is None:
            assert without is not None, "one of the two methods is given"
            logits = without(task, shown)
        else:
            rows = split.learn[:, :count].flatten()
            slots = torch.arange(len(task)).repeat_interleave(count)
            logits = learner(task, photographs.features_NE[rows], slots)(shown)
        found.append(100 * float((logits.argmax(dim=1) == split.slots).double().mean()))
    return found


def class_means(task: Task, features_SD: Tensor, slots_S: Tensor) -> Callable[[Tensor], Tensor]:
    """Answer with the class of the most similar mean: the cosine of features of length 1, without the mean of all."""
    shown = F.normalize(features_SD, dim=1)
    centre = shown.mean(dim=0)
    means = torch.stack([shown[slots_S == slot].mean(dim=0) for slot in range(len(task))])
    rows = F.normalize(means - centre, dim=1)
    return lambda features: F.normalize(F.normalize(features, dim=1) - centre, dim=1) @ rows.T


def logistic_regression(penalty: float) -> Learner:
    """Return multinomial logistic regression by L-BFGS on features of length 1, with an L2 penalty."""

    def learn(task: Task, features_SD: Tensor, slots_S: Tensor) -> Callable[[Tensor], Tensor]:
        shown = _SCALE * F.normalize(features_SD, dim=1)
        weight = torch.zeros(len(task), shown.shape[1], requires_grad=True)
        bias = torch.zeros(len(task), requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(shown @ weight.T + bias, slots_S) + penalty * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        rows, biases = weight.detach(), bias.detach()
        return lambda features: _SCALE * F.normalize(features, dim=1) @ rows.T + biases

    return learn


def name_and_pictures(generator: Generator, names: Sequence[str]) -> Learner:
    """Return tina with fine-tuning at its default settings."""

    def learn(task: Task, features_SD: Tensor, slots_S: Tensor) -> Callable[[Tensor], Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptWarning)
            classifier = generator([names[label] for label in task])
        network = FineTuneData(classifier, features_SD, None, slots_S.tolist(), HeadSettings(), seed=0).train()
        return lambda features: network(features).detach()

    return learn
