"""Answers of generated classifiers to images of their own and of other classes, and abstention thresholds for them.

*Inside* images belong to the task's classes, *outside* images to other classes. A classifier abstains where its score
is below a threshold. Abstaining from an inside image counts as a mistake. A threshold *keeps* the share `kept` if the
accuracy on inside images, counted like this, is `kept` times the accuracy without abstaining. It does so if it leaves
the share `kept` of the correctly classified images.

Shapes: M inside images, U outside images, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.classifier.abstention import abstention_scores
from tina_framework.errors import DataError
from tina_framework.evaluation.scoring import Scorer
from tina_framework.evaluation.statistics import summarize
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.method import Network
from tina_framework.prompts.encoded_task import encode_tasks

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator
    from tina_framework.zoo.image_bank import ImageBank
    from tina_framework.zoo.tasks import Task

__all__ = ["Responses", "Scored", "auroc", "figures", "respond", "threshold_for"]

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Responses:
    """The answers of one generated network.

    Attributes:
        inside: (M, K) logits of inside images.
        right: (M,) which inside images are classified correctly.
        outside: (U, K) logits of outside images.
    """

    inside: Tensor
    right: Tensor
    outside: Tensor

    def scored(self, score: Callable[[Tensor], Tensor] = abstention_scores) -> Scored:
        """Return the scores in place of the logits.

        Args:
            score: turns logits (N, K) into scores (N,). Benchmarks compare several.
        """
        inside, outside = (score(logits).cpu().numpy() for logits in (self.inside, self.outside))
        return Scored(inside, self.right.cpu().numpy(), outside)


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of one network.

    Attributes:
        inside: (M,) scores of inside images.
        right: (M,) which inside images are classified correctly.
        outside: (U,) scores of outside images.
    """

    inside: Scores
    right: npt.NDArray[np.bool_]
    outside: Scores

    def kept(self, threshold: float) -> float:
        """Return the accuracy on inside images where abstaining counts as a mistake: a fraction of 1."""
        return float((self.right & (self.inside >= threshold)).mean())

    def refused(self, threshold: float) -> float:
        """Return the share of the outside images that the network abstains from."""
        return float((self.outside < threshold).mean())


def respond(
    generator: Generator,
    bank: ImageBank,
    tasks: Sequence[Task],
    classes: Sequence[str],
    *,
    per_class: int = 10,
    seed: int = 0,
    batch_size: int = 20,
    on_progress: Callable[[int], None] = lambda count: None,
) -> list[Responses]:
    """Generate a network for every task, and classify images with it.

    Args:
        generator: used with its default sampler and its current encoder.
        bank: the images.
        tasks: tasks of any class counts.
        classes: images of those classes that a task does not have are its outside images.
        per_class: number of outside images of a class. They are drawn from the seed and are the same for all tasks.
            All inside images are used.
        seed: seed of generation and of that draw.
        batch_size: how many networks are generated at once.
        on_progress: called with the number of tasks finished since the last call.

    Raises:
        DataError: a task has no inside or no outside image.
        PromptError: a task has too few or too many classes.
    """
    # The outside images are drawn once, so that networks differ by their answers and not by their images.
    scorer = Scorer(generator.spec, bank)
    shown = _some(bank, classes, per_class, seed)
    found = []
    for start in range(0, len(tasks), batch_size):
        part = tasks[start : start + batch_size]
        conditions = encode_tasks([task.classes for task in part], generator.encoder)
        for flat, task in zip(generator.generate_parameters(conditions, SamplingOptions(seed=seed)), part, strict=True):
            network = Network(flat, task.classes)
            rows, slots = bank.rows(task.classes)
            own = torch.tensor(bank.labels_of(task.classes), device=bank.labels.device)
            outside = shown[~torch.isin(bank.labels[shown], own)]
            if not len(outside):
                raise DataError(f"There is no image outside the task {', '.join(task.classes)}; name more classes.")
            logits = scorer.logits(network, torch.cat([rows, outside]))
            inside = logits[: len(rows)]
            found.append(Responses(inside, inside.argmax(1) == slots, logits[len(rows) :]))
            on_progress(1)
    return found


def _some(bank: ImageBank, classes: Sequence[str], per_class: int, seed: int) -> Tensor:
    """Return the row numbers of up to `per_class` images of each class."""
    draws = torch.Generator().manual_seed(seed)
    parts = []
    for label in bank.labels_of(classes):
        rows = (bank.labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=draws)[:per_class]
        parts.append(rows[order.to(rows.device)])
    return torch.cat(parts)


def threshold_for(networks: Sequence[Scored], kept: float) -> float:
    """Return the greatest common threshold of the networks that keeps at least the share `kept` of their correct
    answers.

    Raises:
        DataError: no network gives a correct answer.
    """
    right = np.sort(np.concatenate([network.inside[network.right] for network in networks]))
    if not len(right):
        raise DataError(
            "No network classifies a single image correctly, so no threshold can be set; use a better generator."
        )
    # At least len - i scores are at or above right[i]. Adding 1e-9 corrects products such as 10 * (1 - 0.9) = 0.9999...
    return float(right[min(int(len(right) * (1 - kept) + 1e-9), len(right) - 1)])


def auroc(networks: Sequence[Scored]) -> float:
    """Return the probability that an inside image scores above an outside one, over all networks. A tie counts half."""
    inside = np.sort(np.concatenate([network.inside for network in networks]))
    outside = np.concatenate([network.outside for network in networks])
    below = (np.searchsorted(inside, outside, "left") + np.searchsorted(inside, outside, "right")) / 2
    return float(1 - below.mean() / len(inside))


def figures(networks: Sequence[Scored], threshold: float) -> dict[str, Any]:
    """Return what a threshold does: fractions of 1, with 95 % intervals over networks (null for a single network).

    ``accuracy`` is that on inside images without abstaining; ``kept`` is the accuracy with abstaining, as a share of
    it; ``refused`` is the share of outside images that are abstained from; ``auroc`` is explained at `auroc`.
    """
    accuracy = float(np.mean([network.right.mean() for network in networks]))
    refused = summarize([network.refused(threshold) for network in networks])
    return {
        "threshold": threshold,
        "accuracy": accuracy,
        "kept": float(np.mean([network.kept(threshold) for network in networks])) / accuracy,
        "refused": {key: value for key, value in dataclasses.asdict(refused).items() if key in ("mean", "ci95")},
        "auroc": auroc(networks),
    }
