"""Generated classifiers on pictures of their task and on pictures of other classes: thresholds, and what they refuse.

Inside: pictures of the task's classes; outside: pictures of the other classes. A classifier that abstains from an inside picture has
made a mistake. A threshold keeps the share `kept` if the accuracy on inside pictures, counted like that, is `kept` times what it is
without abstaining; that is so where it leaves the share `kept` of the pictures that are named rightly.

Shapes: M inside pictures, U outside pictures, K classes.
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
from tina_framework.evaluation.scoring import Network, Scorer
from tina_framework.evaluation.statistics import summarize
from tina_framework.generator.options import SamplingOptions
from tina_framework.prompts.encoded_task import encode_tasks

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator
    from tina_framework.zoo.image_bank import ImageBank
    from tina_framework.zoo.tasks import Task

__all__ = ["Responses", "Scored", "auroc", "figures", "respond", "threshold_for"]

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Responses:
    """What one generated network says: logits inside (M, K) and outside (U, K), and which inside pictures it names rightly (M,)."""

    inside: Tensor
    right: Tensor
    outside: Tensor

    def scored(self, score: Callable[[Tensor], Tensor] = abstention_scores) -> Scored:
        """Return the same as scores. `score`: (N, K) logits -> (N,) scores; benchmarks compare several."""
        inside, outside = (score(logits).cpu().numpy() for logits in (self.inside, self.outside))
        return Scored(inside, self.right.cpu().numpy(), outside)


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores inside (M,) and outside (U,) of one network, and which inside pictures it names rightly (M,)."""

    inside: Scores
    right: npt.NDArray[np.bool_]
    outside: Scores

    def kept(self, threshold: float) -> float:
        """Accuracy inside, abstentions being mistakes: a fraction of 1."""
        return float((self.right & (self.inside >= threshold)).mean())

    def refused(self, threshold: float) -> float:
        """Share of the outside pictures that it abstains from."""
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
    """Generates a network for every task, and shows it pictures.

    Args:
        generator: with its default sampler and the encoder it has.
        bank: the pictures.
        tasks: of any class counts.
        classes: pictures of those that a task does not have are its outside pictures.
        per_class: outside pictures of a class; drawn from the seed, the same for all tasks. Of inside pictures all are shown.
        seed: of generation and of that draw.
        batch_size: networks generated at once.
        on_progress: called with the number of tasks that are done in addition.

    Raises:
        DataError: there is no picture of a task, or none outside.
        PromptError: a task has too few or too many classes.
    """
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
                raise DataError(f"There is no picture outside the task {', '.join(task.classes)}; name more classes.")
            logits = scorer.logits(network, torch.cat([rows, outside]))
            inside = logits[: len(rows)]
            found.append(Responses(inside, inside.argmax(1) == slots, logits[len(rows) :]))
            on_progress(1)
    return found


def _some(bank: ImageBank, classes: Sequence[str], per_class: int, seed: int) -> Tensor:
    """Row numbers of up to `per_class` pictures of each class."""
    draws = torch.Generator().manual_seed(seed)
    parts = []
    for label in bank.labels_of(classes):
        rows = (bank.labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=draws)[:per_class]
        parts.append(rows[order.to(rows.device)])
    return torch.cat(parts)


def threshold_for(networks: Sequence[Scored], kept: float) -> float:
    """The greatest threshold, shared by all networks, that keeps at least the share `kept` of their right answers.

    Raises:
        DataError: they give no right answer.
    """
    right = np.sort(np.concatenate([network.inside[network.right] for network in networks]))
    if not len(right):
        raise DataError("No network names a single picture rightly, so there is nothing to set a threshold by.")
    # Scores at or above right[i] number len - i at least.
    return float(right[min(int(len(right) * (1 - kept) + 1e-9), len(right) - 1)])


def auroc(networks: Sequence[Scored]) -> float:
    """Chance that an inside picture scores above an outside one, of all networks together (a tie counts half)."""
    inside = np.sort(np.concatenate([network.inside for network in networks]))
    outside = np.concatenate([network.outside for network in networks])
    below = (np.searchsorted(inside, outside, "left") + np.searchsorted(inside, outside, "right")) / 2
    return float(1 - below.mean() / len(inside))


def figures(networks: Sequence[Scored], threshold: float) -> dict[str, Any]:
    """What a threshold does: fractions of 1, with 95 % intervals over networks (null for a single one).

    ``accuracy``: inside, without abstaining; ``kept``: with it, as a share of that; ``refused``: outside; ``auroc``.
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
