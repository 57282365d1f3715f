"""Distillation: the loss of a network that learns from the labels and from the logits of a teacher.

Shapes: M images, K classes, with any leading axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["SoftTargets", "image_losses"]


@dataclass(frozen=True)
class SoftTargets:
    """What a teacher says of a batch of images.

    Attributes:
        logits: (..., M, K) the teacher's logits of the classes of the network that learns. Values of empty slots are ignored.
        weight: a, the share of the teacher in the loss, from 0 to 1.
        temperature: T, by which both networks' logits are divided.
    """

    logits: Tensor
    weight: float
    temperature: float = 1.0

    def of_network(self, row: int | Sequence[int], num_classes: int) -> SoftTargets:
        """Return the targets for one row, or for several rows, cut to the first `num_classes` slots."""
        return SoftTargets(self.logits[row][..., :num_classes], self.weight, self.temperature)


def image_losses(logits: Tensor, labels: Tensor, soft: SoftTargets | None = None) -> Tensor:
    """Return the loss of each image, (..., M).

    Without a teacher it is the cross-entropy. With one it is, after Hinton et al. (arXiv 1503.02531, section 2),

        (1 - a) cross_entropy(z, label) + a T^2 KL(softmax(q / T) || softmax(z / T))

    for the network's logits z and the teacher's q. The factor T^2 keeps the size of the gradient. At T = 1 the gradient is
    that of the cross-entropy with the mixture of label and teacher.

    Args:
        logits: (..., M, K) float32. Empty slots hold minus infinity.
        labels: (..., M) int64.
        soft: what the teacher says of the same images.
    """
    hard = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none").view(labels.shape)
    if soft is None or soft.weight == 0:
        return hard
    empty = torch.isneginf(logits)
    wanted = soft.logits.float().masked_fill(empty, -torch.inf) / soft.temperature
    # In empty slots both logarithms are minus infinity, and their difference would be NaN.
    log_wanted = F.log_softmax(wanted, -1).masked_fill(empty, 0.0)
    log_found = F.log_softmax(logits / soft.temperature, -1).masked_fill(empty, 0.0)
    divergence = (F.softmax(wanted, -1) * (log_wanted - log_found)).sum(-1)
    return (1 - soft.weight) * hard + soft.weight * soft.temperature**2 * divergence
